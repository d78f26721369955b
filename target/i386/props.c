/* The properties of CPUs. Names and defaults are QEMU 7.2's. */
#include "target/i386/cpu.h"
#include "target/i386/cpu-int.h"
#include "target/i386/model.h"
#include "util/error.h"
#include <errno.h>

typedef struct Wanted { const char *name; X86Props *p; bool on; } Wanted;

static void set_bit(void *opaque, FeatureWord w, unsigned bit, const char *name, bool alias)
{
    Wanted *x = opaque;

    if (!strcmp(name, x->name)) {
        x->p->given[w] |= 1ull << bit;
        x->p->bits[w] = (x->p->bits[w] & ~(1ull << bit)) | (uint64_t)x->on << bit;
    }
}

static int parse_bool(const char *s)
{
    static const char *const words[] = { "off", "no", "false", "n", "on", "yes", "true", "y" };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(s, words[i])) {
            return i >= 4;
        }
    }
    return -1;
}

/* A name may stand for two bits (kvmclock does): all that have it are set. */
static bool feature_parse(Device *d, const Property *p, const char *s, GError **err)
{
    Wanted x = { p->name, &DEVICE(d, X86Cpu)->props, parse_bool(s) == 1 };

    if (parse_bool(s) < 0) {
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", p->name);
    }
    x86_features_foreach(set_bit, &x);
    return true;
}

static char *feature_print(Device *d, const Property *p)
{
    X86Cpu *c = DEVICE(d, X86Cpu);
    unsigned w = (p->off - offsetof(X86Cpu, props.bits)) / sizeof(c->props.bits[0]);
    uint64_t bits = c->spec ? c->spec->features[w] : c->props.bits[w];

    return g_strdup(bits >> p->bit & 1 ? "true" : "false");
}

/* family, model, stepping: .bit says which limit. */
static bool version_parse(Device *d, const Property *p, const char *s, GError **err)
{
    static const unsigned limits[] = { 0xff + 0xf, 0xff, 0xf };
    char *end;
    guint64 v;

    errno = 0;
    v = g_ascii_strtoull(s, &end, 0);
    if (errno || end == s || *end || *s == '-') {
        return error_set(err, "Parameter '%s' expects int64", p->name);
    }
    if (v > limits[p->bit]) {
        return error_set(err, "Property .%s doesn't take value %" G_GUINT64_FORMAT " (minimum: 0, maximum: %u)", p->name, v, limits[p->bit]);
    }
    *(int32_t *)((char *)d + p->off) = v + 1;
    return true;
}

static char *version_print(Device *d, const Property *p)
{
    X86Cpu *c = DEVICE(d, X86Cpu);
    int32_t v = MAX(*(int32_t *)((char *)d + p->off), 1) - 1;

    if (c->spec) {
        v = p->bit == 0 ? c->spec->family : p->bit == 1 ? c->spec->model : c->spec->stepping;
    }
    return g_strdup_printf("%d", v);
}

static bool vendor_parse(Device *d, const Property *p, const char *s, GError **err)
{
    char **at = &DEVICE(d, X86Cpu)->props.vendor;

    if (strlen(s) != 12) {
        return error_set(err, "Property '.vendor' doesn't take value '%s'", s);
    }
    g_free(*at);
    *at = g_strdup(s);
    return true;
}

static char *vendor_print(Device *d, const Property *p)
{
    X86Cpu *c = DEVICE(d, X86Cpu);

    return g_strdup(c->spec ? c->spec->vendor : c->props.vendor ? c->props.vendor : "");
}

/* A bool whose default is the model's. */
static bool tristate_parse(Device *d, const Property *p, const char *s, GError **err)
{
    if (parse_bool(s) < 0) {
        return error_set(err, "Parameter '%s' expects 'on' or 'off'", p->name);
    }
    *(int32_t *)((char *)d + p->off) = parse_bool(s) ? 1 : 2;
    return true;
}

static char *tristate_print(Device *d, const Property *p)
{
    return g_strdup(*(int32_t *)((char *)d + p->off) == 1 ? "true" : "false");
}

#define P(m, n, k, d, ...) { .name = (n), .kind = PROP_##k, .off = offsetof(X86Cpu, m), .def = (d), __VA_ARGS__ }
#define PP(m, n, k, d, ...) P(props.m, n, k, d, __VA_ARGS__)
#define TRISTATE(m, n, ...) PP(m, n, CUSTOM, 0, .type_name = "bool", .parse = tristate_parse, .print = tristate_print, __VA_ARGS__)
#define HV(f, n) { .name = (n), .kind = PROP_BIT64, .off = offsetof(X86Cpu, props.hv), .bit = HV_##f }
#define VERSION(m, i) { .name = #m, .kind = PROP_CUSTOM, .off = offsetof(X86Cpu, props.m), .bit = (i), .type_name = "int", \
    .parse = version_parse, .print = version_print }

const Property x86_max_props[] = {
    PP(migratable, "migratable", BOOL, true),
    PP(host_cache_info, "host-cache-info", BOOL, false),
    /* x86_cpu_props: what all models have */
    VERSION(family, 0),
    VERSION(model, 1),
    VERSION(stepping, 2),
    { .name = "vendor", .kind = PROP_CUSTOM, .off = offsetof(X86Cpu, props.vendor), .type_name = "string", .parse = vendor_parse,
      .print = vendor_print },
    PP(model_id, "model-id", STR, 0, .type_name = "string"),
    PP(level, "level", U32, LEVEL_AUTO),
    PP(xlevel, "xlevel", U32, LEVEL_AUTO),
    PP(xlevel2, "xlevel2", U32, LEVEL_AUTO),
    PP(min_level, "min-level", U32, LEVEL_AUTO, .def_text = "0"),
    PP(min_xlevel, "min-xlevel", U32, LEVEL_AUTO, .def_text = "0"),
    PP(min_xlevel2, "min-xlevel2", U32, LEVEL_AUTO, .def_text = "0"),
    PP(level_func7, "level-func7", U32, LEVEL_AUTO),
    PP(tsc_frequency, "tsc-frequency", I64, 0, .type_name = "int", .def_text = ""),
    PP(ucode_rev, "ucode-rev", U64, 0),
    PP(lbr_fmt, "lbr-fmt", I64, -1, .type_name = "uint64", .def_text = ""),
    PP(phys_bits, "phys-bits", U32, 0),
    TRISTATE(host_phys_bits, "host-phys-bits", .def_text = "false"),
    PP(host_phys_bits_limit, "host-phys-bits-limit", U8, 0),
    PP(check, "check", BOOL, true),
    PP(enforce, "enforce", BOOL, false),
    PP(kvm, "kvm", BOOL, true),
    TRISTATE(pmu, "pmu", .def_text = "false"),
    PP(l3_cache, "l3-cache", BOOL, true),
    TRISTATE(legacy_cache, "legacy-cache", .no_help = true),
    PP(lmce, "lmce", BOOL, false),
    PP(fill_mtrr_mask, "fill-mtrr-mask", BOOL, true),
    PP(cpuid_0xb, "cpuid-0xb", BOOL, true),
    PP(auto_level, "full-cpuid-auto-level", BOOL, true),
    PP(vendor_cpuid_only, "x-vendor-cpuid-only", BOOL, true),
    PP(force_features, "x-force-features", BOOL, false),
    PP(tcg_cpuid, "tcg-cpuid", BOOL, true),
    PP(no_smi_migration, "kvm-no-smi-migration", BOOL, false),
    PP(vmware_freq, "vmware-cpuid-freq", BOOL, true),
    PP(pv_enforce_cpuid, "kvm-pv-enforce-cpuid", BOOL, false),
    PP(migrate_smi_count, "x-migrate-smi-count", BOOL, true),
    PP(pt_auto_level, "x-intel-pt-auto-level", BOOL, true),
    PP(start_powered_off, "start-powered-off", BOOL, false, .def_text = ""),
    P(apic_id, "apic-id", U32, UINT32_MAX),
    P(socket_id, "socket-id", I32, -1),
    P(die_id, "die-id", I32, -1),
    P(core_id, "core-id", I32, -1),
    P(thread_id, "thread-id", I32, -1),
    P(node_id, "node-id", I32, -1),

    PP(hv_spinlocks, "hv-spinlocks", U32, HV_SPINLOCK_NONE),
    PP(hv_vendor_id, "hv-vendor-id", STR, 0),
    PP(hv_passthrough, "hv-passthrough", BOOL, false),
    PP(hv_enforce, "hv-enforce-cpuid", BOOL, false),
    PP(hv_synic_kvm_only, "x-hv-synic-kvm-only", BOOL, false),
    PP(hv_no_nonarch_cs, "hv-no-nonarch-coresharing", ON_OFF_AUTO, 2),
    PP(hv_max_vps, "x-hv-max-vps", I32, -1),
    PP(hv_version_build, "hv-version-id-build", U32, 0x3839),
    PP(hv_version_major, "hv-version-id-major", U16, 10),
    PP(hv_version_minor, "hv-version-id-minor", U16, 0),
    PP(hv_version_spack, "hv-version-id-spack", U32, 0),
    PP(hv_version_sbranch, "hv-version-id-sbranch", U8, 0),
    PP(hv_version_snumber, "hv-version-id-snumber", U32, 0),
    HV(RELAXED, "hv-relaxed"), HV(VAPIC, "hv-vapic"), HV(TIME, "hv-time"), HV(CRASH, "hv-crash"), HV(RESET, "hv-reset"),
    HV(VPINDEX, "hv-vpindex"), HV(RUNTIME, "hv-runtime"), HV(SYNIC, "hv-synic"), HV(STIMER, "hv-stimer"),
    HV(FREQUENCIES, "hv-frequencies"), HV(REENLIGHTENMENT, "hv-reenlightenment"), HV(TLBFLUSH, "hv-tlbflush"), HV(EVMCS, "hv-evmcs"),
    HV(IPI, "hv-ipi"), HV(STIMER_DIRECT, "hv-stimer-direct"), HV(AVIC, "hv-avic"), HV(AVIC, "hv-apicv"), HV(SYNDBG, "hv-syndbg"),
    HV(EMSR_BITMAP, "hv-emsr-bitmap"), HV(XMM_INPUT, "hv-xmm-input"), HV(TLBFLUSH_EXT, "hv-tlbflush-ext"),
    HV(TLBFLUSH_DIRECT, "hv-tlbflush-direct"),

#define FEATURE(w, b, n) { .name = n, .kind = PROP_CUSTOM, .off = offsetof(X86Cpu, props.bits[FW_##w]), .bit = b, .type_name = "bool", \
    .parse = feature_parse, .print = feature_print },
#define ALIAS(w, b, n) FEATURE(w, b, n)
#include "target/i386/features.def"
#undef FEATURE
#undef ALIAS
    {0}
};
