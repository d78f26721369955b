/* What X keysyms (X11/keysymdef.h's values) print. */
#include "ui/vnc-int.h"

bool vnc_text_of(uint32_t keysym, char text[8])
{
    gunichar c = keysym & 0xff000000 ? keysym & 0xffffff : keysym;

    if ((keysym & 0xff000000) > 0x01000000 || (!(keysym & 0xff000000) && keysym > 0xff) || !g_unichar_validate(c) ||
        !g_unichar_isprint(c))
        return false;
    text[g_unichar_to_utf8(c, text)] = 0;
    return true;
}
