/* What network cards share: their client in the network, MAC address and properties. */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H
#include "hw/core/device.h"
#include "net/net.h"

typedef struct Nic {
    uint8_t mac[6];                 /* property */
    NetClient *netdev;              /* property: what it was connected with */
    NetClient *client;              /* ours */
} Nic;

#define NIC_PROPS(T, m, devm) \
    PROP(T, m.mac, "mac", PROP_MAC, 0), PROP(T, m.netdev, "netdev", PROP_NETDEV, 0), \
    PROP(T, devm.bootindex, "bootindex", PROP_I32, -1)

/* A client type of a card begins its instance with this. */
typedef struct NicClient {
    NetClient client;
    Device *dev;
} NicClient;

/* In realize: settles the MAC address and makes the client; t->size is sizeof(NicClient). */
void nic_init(Nic *n, Device *d, const NetClientType *t);
/* In unrealize. */
void nic_fini(Nic *n);
/* info network's line follows the address that the card has now. */
void nic_show_mac(Nic *n, const uint8_t *mac);
static inline Device *nic_device(NetClient *c) { return ((NicClient *)c)->dev; }
#endif
