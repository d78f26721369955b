/* Between filter.c and the kinds of filters. */
#ifndef NET_FILTER_INT_H
#define NET_FILTER_INT_H
#include "net/net-int.h"

enum { FILTER_RX = 1, FILTER_TX = 2 };      /* packets sent to the netdev, by the netdev */

typedef struct FilterKind {
    const char *name;
    size_t size;                            /* of the instance, which begins with a NetFilter */
    const NetParam *params;
    bool (*open)(NetFilter *f, Opts *o, GError **err);
    /* true: the filter has it now (and may pass it on later). */
    bool (*packet)(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size);
    void (*status)(NetFilter *f);           /* it was switched off; may be NULL */
    void (*forget)(NetFilter *f, NetClient *from);  /* drop what is kept from this client; may be NULL */
    void (*print)(NetFilter *f, GString *out);      /* ",file=x,maxlen=y" */
    void (*close)(NetFilter *f);            /* also after a failed open */
} FilterKind;

struct NetFilter {
    const FilterKind *kind;
    char *id, *position;
    NetClient *of;
    unsigned queues;                        /* FILTER_RX | FILTER_TX */
    bool on, before;
};

/* Goes on with a packet behind f. */
void filter_pass_on(NetFilter *f, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size);
extern const FilterKind filter_dump, filter_buffer, filter_mirror, filter_redirector;
#endif
