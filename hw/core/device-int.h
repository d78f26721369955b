/* Between the files of the device tree. */
#ifndef HW_CORE_DEVICE_INT_H
#define HW_CORE_DEVICE_INT_H
#include "hw/core/machine.h"

/* Properties of t and its parents, nearest type first: calls fn until it returns false. */
bool type_foreach_prop(const DeviceType *t, bool (*fn)(const Property *p, void *opaque), void *opaque);
const Property *type_find_prop(const DeviceType *t, const char *name);
void props_set_defaults(Device *d);
void props_free(Device *d);
const char *prop_type_name(const Property *p);
char *prop_print(Device *d, const Property *p);         /* as device_set takes it; NULL: nothing to print */
char *prop_print_qtree(Device *d, const Property *p);   /* as info qtree shows it */
#endif
