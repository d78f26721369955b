/* What network cards share. */
#include <string.h>
#include "hw/net/nic.h"

void nic_init(Nic *n, Device *d, const NetClientType *t)
{
    net_mac_default(n->mac);
    n->client = net_client_new(t, n->netdev, d->type->name, d->id);
    ((NicClient *)n->client)->dev = d;
    nic_show_mac(n, n->mac);
}

void nic_fini(Nic *n)
{
    if (!n->client)
        return;
    net_mac_free(n->mac);
    net_client_free(n->client);
    n->client = NULL;
}

void nic_show_mac(Nic *n, const uint8_t *mac)
{
    net_client_set_info(n->client, "model=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x", n->client->model, mac[0], mac[1], mac[2],
                        mac[3], mac[4], mac[5]);
}
