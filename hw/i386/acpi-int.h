/* Between the files that build ACPI tables. */
#ifndef HW_I386_ACPI_INT_H
#define HW_I386_ACPI_INT_H
#include "hw/i386/tables.h"

#define ACPI_HEADER 36                  /* bytes of a table's header */

/* The code behind the DSDT's header. */
void acpi_dsdt_code(GByteArray *b, const AcpiFacts *f);
void acpi_append_code(GByteArray *b, const uint8_t *aml, size_t len);
/* The MADT entry of CPU n. */
void acpi_madt_cpu(GByteArray *b, unsigned n, uint32_t apic_id, bool enabled);
#endif
