/*
 * A small writer of AML, ACPI's byte code, for those parts of a table that depend on the machine. The rest is ASL
 * source that iasl compiles.
 *
 * Blocks (scopes, devices, methods, If) nest: each aml_begin_* is closed by aml_end. Names are 4-letter segments
 * ("_ADR", "S08": padded with '_') or paths ("\\_SB.PCI0", "^S18.PCNT"); wrong ones are bugs (g_assert).
 */
#ifndef HW_ACPI_AML_H
#define HW_ACPI_AML_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define AML_DEPTH 16
typedef struct Aml {
    GByteArray *b;                  /* not owned */
    unsigned depth;
    guint open[AML_DEPTH];          /* where each open block's package length goes */
} Aml;

enum { AML_LOCAL0 = 0x60, AML_ARG0 = 0x68 };

void aml_begin_scope(Aml *a, const char *path);
void aml_begin_device(Aml *a, const char *path);
void aml_begin_processor(Aml *a, const char *name, uint8_t id);
void aml_begin_method(Aml *a, const char *path, unsigned args, bool serialized);
/* If (Argn & mask) */
void aml_begin_if_arg_and(Aml *a, unsigned arg, uint32_t mask);
/* If (Argn == v) */
void aml_begin_if_arg_equal(Aml *a, unsigned arg, uint64_t v);
void aml_end(Aml *a);

/* Objects */
void aml_name(Aml *a, const char *name);                    /* Name (name, ...): an object follows */
void aml_int(Aml *a, uint64_t v);                           /* in its shortest form */
void aml_string(Aml *a, const char *s);
void aml_eisa_id(Aml *a, const char *id);                   /* "PNP0A03" */
void aml_buffer(Aml *a, const void *data, unsigned len);
void aml_package(Aml *a, const uint64_t *v, unsigned n);    /* of integers */
void aml_name_int(Aml *a, const char *name, uint64_t v);
void aml_name_string(Aml *a, const char *name, const char *s);
void aml_name_eisa(Aml *a, const char *name, const char *id);

/* Statements and terms */
void aml_path(Aml *a, const char *path);                    /* a name as a term: calls a method, reads an object */
void aml_return(Aml *a);                                    /* a term follows */
void aml_store_int(Aml *a, uint64_t v, const char *path);
void aml_notify_arg(Aml *a, const char *path, unsigned arg);
void aml_raw(Aml *a, const void *code, unsigned len);
/* An operation region of I/O ports. */
void aml_io_region(Aml *a, const char *name, uint32_t at, uint32_t len);
/* Field (region, ByteAcc, NoLock, Preserve) { name, bits } */
void aml_byte_field(Aml *a, const char *region, const char *name, unsigned bits);

/* Resource templates: descriptors are collected, then written as a buffer. Ends are the last address. */
typedef struct Crs { GByteArray *b; } Crs;
Crs crs_new(void);
void crs_io(Crs *c, uint16_t at, uint8_t align, uint8_t len);
void crs_irq(Crs *c, unsigned irq);
void crs_dma(Crs *c, unsigned channel);
void crs_bus_numbers(Crs *c, uint16_t first, uint16_t last);
void crs_io_window(Crs *c, uint16_t first, uint16_t last);
void crs_mem_window(Crs *c, uint64_t first, uint64_t last, bool cacheable, bool wide);   /* wide: 64-bit descriptor */
void aml_name_crs(Aml *a, const char *name, Crs *c);        /* frees c */
#endif
