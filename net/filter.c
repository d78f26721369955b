/* Filters: what looks at packets on their way between a netdev and its peer. */
#include "net/net-int.h"

bool net_filters_run(NetClient *of, bool sent_by, NetClient *from, const struct iovec *iov, unsigned n, size_t size)
{
    return false;
}

void net_filters_print(NetClient *c, GString *out)
{
}

void net_filters_drop(NetClient *c)
{
}
