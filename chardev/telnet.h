/* The telnet protocol (RFC 854) of a socket chardev: options are offered, not negotiated. */
#ifndef CHARDEV_TELNET_H
#define CHARDEV_TELNET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Telnet {
    enum { TELNET_DATA, TELNET_IAC, TELNET_OPTION, TELNET_SUB, TELNET_SUB_IAC } state;
    bool half;      /* of a doubled IAC, the first byte has been sent */
} Telnet;

/* What a server says first: it echoes, it wants no line mode, all bytes are data. */
extern const uint8_t telnet_hello[12];
/* Takes the protocol out of buf in place and returns what is left of len; *breaks counts break conditions. */
int telnet_decode(Telnet *t, uint8_t *buf, int len, int *breaks);
#endif
