/* Telnet: input. */
#include "chardev/telnet.h"

enum { SE = 240, BREAK = 243, IP = 244, SB = 250, WILL = 251, DO = 253, DONT = 254, IAC = 255 };
enum { BINARY = 0, ECHO = 1, SUPPRESS_GA = 3 };

const uint8_t telnet_hello[12] = { IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GA, IAC, WILL, BINARY, IAC, DO, BINARY };

/* The byte after IAC; true when it stands for a byte of data. */
static bool command(Telnet *t, uint8_t b, int *breaks)
{
    t->state = b == SB ? TELNET_SUB : b >= WILL && b <= DONT ? TELNET_OPTION : TELNET_DATA;
    *breaks += b == BREAK || b == IP;
    return b == IAC;
}

int telnet_decode(Telnet *t, uint8_t *buf, int len, int *breaks)
{
    int n = 0;

    for (int i = 0; i < len; i++) {
        uint8_t b = buf[i];

        switch (t->state) {
        case TELNET_DATA:
            if (b == IAC)
                t->state = TELNET_IAC;
            else
                buf[n++] = b;
            break;
        case TELNET_IAC:
            if (command(t, b, breaks))
                buf[n++] = b;
            break;
        case TELNET_OPTION:
            t->state = TELNET_DATA;
            break;
        case TELNET_SUB:
            if (b == IAC)
                t->state = TELNET_SUB_IAC;
            break;
        case TELNET_SUB_IAC:
            t->state = b == SE ? TELNET_DATA : TELNET_SUB;
            break;
        }
    }
    return n;
}
