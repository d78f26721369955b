/*
 * The CPU's sections of the migration stream, "cpu" and "cpu_common", in QEMU 7.2's layout.
 *
 * Not carried: nested virtualization's state (cpu/nested_state) and TCG's own subsections; streams that have them are
 * refused by name.
 */
#include "target/i386/cpu-int.h"
#include "util/error.h"

#define NON_ZERO(x) non_zero(&(x), sizeof(x))

static bool non_zero(const void *p, size_t n)
{
    const uint8_t *b = p;

    for (size_t i = 0; i < n; i++) {
        if (b[i]) {
            return true;
        }
    }
    return false;
}

/* ---- Parts ---- */

static const Field fpreg_fields[] = {
    FIELD(X86FpReg, mant, .name = "tmp_mant"),
    FIELD(X86FpReg, exp, .name = "tmp_exp"),
    {0}
};
static const StateTable fpreg = { .name = "fpreg", .fields = fpreg_fields };

static const Field segment_fields[] = {
    FIELD(X86Segment, selector),
    FIELD(X86Segment, base),
    FIELD(X86Segment, limit),
    FIELD(X86Segment, flags),
    {0}
};
static const StateTable segment = { .name = "segment", .version = 1, .min_version = 1, .fields = segment_fields };

/* Parts of a vector register; the other parts' tables reset the rest. */
#define QUARTER(n) FIELD(X86Zmm, q[n], .name = "_q_ZMMReg[" #n "]")
static const Field xmm_fields[] = { QUARTER(0), QUARTER(1), HOST(X86Zmm, q), {0} };
static const Field ymmh_fields[] = { QUARTER(2), QUARTER(3), HOST(X86Zmm, q), {0} };
static const Field zmmh_fields[] = { QUARTER(4), QUARTER(5), QUARTER(6), QUARTER(7), HOST(X86Zmm, q), {0} };
static const Field hi16_fields[] = { QUARTER(0), QUARTER(1), QUARTER(2), QUARTER(3), QUARTER(4), QUARTER(5), QUARTER(6), QUARTER(7), {0} };
static const StateTable xmm_reg = { .name = "xmm_reg", .version = 1, .min_version = 1, .fields = xmm_fields };
static const StateTable ymmh_reg = { .name = "ymmh_reg", .version = 1, .min_version = 1, .fields = ymmh_fields };
static const StateTable zmmh_reg = { .name = "zmmh_reg", .version = 1, .min_version = 1, .fields = zmmh_fields };
static const StateTable hi16_zmm_reg = { .name = "hi16_zmm_reg", .version = 1, .min_version = 1, .fields = hi16_fields };

static const Field mtrr_fields[] = {
    FIELD(X86Range, base),
    FIELD(X86Range, mask),
    {0}
};
static const StateTable mtrr_var = { .name = "mtrr_var", .version = 1, .min_version = 1, .fields = mtrr_fields };

static const Field bnd_fields[] = {
    FIELD(X86Bounds, lb),
    FIELD(X86Bounds, ub),
    {0}
};
static const StateTable bnd_reg = { .name = "bnd_regs", .version = 1, .min_version = 1, .fields = bnd_fields };

static const Field lbr_fields[] = {
    FIELD(X86LbrEntry, from),
    FIELD(X86LbrEntry, to),
    FIELD(X86LbrEntry, info),
    {0}
};
static const StateTable lbr_record = { .name = "lbr_records_var", .version = 1, .min_version = 1, .fields = lbr_fields };

/* ---- Subsections ---- */

#define NEEDED(id, expr) static bool id##_needed(const void *obj) { const X86Cpu *c = obj; return (expr); }
#define SUB(id, section, ...) \
    static const Field id##_fields[] = { __VA_ARGS__, {0} }; \
    static const StateTable id##_state = { .name = section, .version = 1, .min_version = 1, .needed = id##_needed, .fields = id##_fields };
#define ENV(m, ...) FIELD(X86Cpu, m, __VA_ARGS__)

NEEDED(exception_info, c->exception_pending)
SUB(exception_info, "cpu/exception_info", ENV(exception_pending), ENV(exception_injected), ENV(exception_has_payload), ENV(exception_payload))
NEEDED(async_pf, c->async_pf_en_msr)
SUB(async_pf, "cpu/async_pf_msr", ENV(async_pf_en_msr))
NEEDED(async_pf_int, c->async_pf_int_msr)
SUB(async_pf_int, "cpu/async_pf_int_msr", ENV(async_pf_int_msr))
NEEDED(pv_eoi, c->pv_eoi_en_msr)
SUB(pv_eoi, "cpu/async_pv_eoi_msr", ENV(pv_eoi_en_msr))
NEEDED(steal_time, c->steal_time_msr)
SUB(steal_time, "cpu/steal_time_msr", ENV(steal_time_msr))
NEEDED(poll_control, c->poll_control_msr != 1)
SUB(poll_control, "cpu/poll_control_msr", ENV(poll_control_msr, .reset = 1))
NEEDED(fpop, c->fpop || c->fpip || c->fpdp)
SUB(fpop, "cpu/fpop_ip_dp", ENV(fpop), ENV(fpip), ENV(fpdp))
NEEDED(tsc_adjust, c->tsc_adjust)
SUB(tsc_adjust, "cpu/msr_tsc_adjust", ENV(tsc_adjust))
NEEDED(tsc_deadline, c->tsc_deadline)
SUB(tsc_deadline, "cpu/msr_tscdeadline", ENV(tsc_deadline))
NEEDED(misc_enable, c->misc_enable != 1)
SUB(misc_enable, "cpu/msr_ia32_misc_enable", ENV(misc_enable, .reset = 1))
NEEDED(feature_control, c->feature_control)
SUB(feature_control, "cpu/msr_ia32_feature_control", ENV(feature_control))
NEEDED(pmu, c->fixed_ctr_ctrl || c->global_ctrl || c->global_status || c->global_ovf_ctrl || NON_ZERO(c->fixed_counters)
       || NON_ZERO(c->gp_counters) || NON_ZERO(c->gp_evtsel))
SUB(pmu, "cpu/msr_architectural_pmu", ENV(fixed_ctr_ctrl), ENV(global_ctrl), ENV(global_status), ENV(global_ovf_ctrl),
    ENV(fixed_counters), ENV(gp_counters), ENV(gp_evtsel))
NEEDED(mpx, NON_ZERO(c->bnd) || c->bndcfgu || c->bndstatus || c->bndcfgs)
SUB(mpx, "cpu/mpx", STRUCTS(X86Cpu, bnd, &bnd_reg), ENV(bndcfgu), ENV(bndstatus), ENV(bndcfgs))
NEEDED(hv_hypercall, c->hv_hypercall || c->hv_guest_os_id)
SUB(hv_hypercall, "cpu/msr_hyperv_hypercall", ENV(hv_guest_os_id), ENV(hv_hypercall))
NEEDED(hv_vapic, c->hv_vapic)
SUB(hv_vapic, "cpu/msr_hyperv_vapic", ENV(hv_vapic))
NEEDED(hv_time, c->hv_tsc)
SUB(hv_time, "cpu/msr_hyperv_time", ENV(hv_tsc))
NEEDED(hv_crash, NON_ZERO(c->hv_crash))
SUB(hv_crash, "cpu/msr_hyperv_crash", ENV(hv_crash))
NEEDED(hv_runtime, (c->spec->hv >> HV_RUNTIME & 1) && c->hv_runtime)
SUB(hv_runtime, "cpu/msr_hyperv_runtime", ENV(hv_runtime))
NEEDED(hv_synic, c->hv_synic_control || c->hv_synic_evt_page || c->hv_synic_msg_page || NON_ZERO(c->hv_synic_sint))
SUB(hv_synic, "cpu/msr_hyperv_synic", ENV(hv_synic_control), ENV(hv_synic_evt_page), ENV(hv_synic_msg_page), ENV(hv_synic_sint))
NEEDED(hv_stimer, NON_ZERO(c->hv_stimer_config) || NON_ZERO(c->hv_stimer_count))
SUB(hv_stimer, "cpu/msr_hyperv_stimer", ENV(hv_stimer_config), ENV(hv_stimer_count))
NEEDED(hv_reenlightenment, c->hv_reenlightenment_control || c->hv_tsc_emulation_control || c->hv_tsc_emulation_status)
SUB(hv_reenlightenment, "cpu/msr_hyperv_reenlightenment", ENV(hv_reenlightenment_control), ENV(hv_tsc_emulation_control),
    ENV(hv_tsc_emulation_status))

static bool avx512_needed(const void *obj)
{
    const X86Cpu *c = obj;

    for (unsigned i = 0; i < 16; i++) {
        if (non_zero(c->zmm[i].q + 4, 32) || NON_ZERO(c->zmm[16 + i])) {
            return true;
        }
    }
    return NON_ZERO(c->opmask);
}
SUB(avx512, "cpu/avx512", ENV(opmask), STRUCTS(X86Cpu, zmm, &zmmh_reg, .count = 16),
    { .name = "hi16_zmm", .kind = F_STRUCT, .off = offsetof(X86Cpu, zmm[16]), .size = 16 * sizeof(X86Zmm), .elt = sizeof(X86Zmm),
      .sub = &hi16_zmm_reg })
NEEDED(xss, c->xss)
SUB(xss, "cpu/xss", ENV(xss))
NEEDED(umwait, c->umwait)
SUB(umwait, "cpu/umwait", ENV(umwait))
NEEDED(pkru, c->pkru)
SUB(pkru, "cpu/pkru", ENV(pkru))
NEEDED(pkrs, c->pkrs)
SUB(pkrs, "cpu/pkrs", ENV(pkrs))
NEEDED(tsc_khz, c->tsc_khz)
SUB(tsc_khz, "cpu/tsc_khz", ENV(tsc_khz, .keep = true))
NEEDED(smi_count, c->spec->p.migrate_smi_count && c->smi_count)
SUB(smi_count, "cpu/msr_smi_count", ENV(smi_count))
NEEDED(mcg_ext_ctl, (c->mcg_cap & 1 << 27) && c->mcg_ext_ctl)
SUB(mcg_ext_ctl, "cpu/mcg_ext_ctl", ENV(mcg_ext_ctl))
NEEDED(spec_ctrl, c->spec_ctrl)
SUB(spec_ctrl, "cpu/spec_ctrl", ENV(spec_ctrl))
NEEDED(virt_ssbd, c->virt_ssbd)
SUB(virt_ssbd, "cpu/virt_ssbd", ENV(virt_ssbd))
NEEDED(tsc_scale, c->spec->features[FW_SVM] & 1 << 4)
SUB(tsc_scale, "cpu/amd_tsc_scale_msr", ENV(tsc_scale, .reset = 1ull << 32))
NEEDED(intel_pt, c->rtit_ctrl || c->rtit_status || c->rtit_output_base || c->rtit_output_mask || c->rtit_cr3_match || NON_ZERO(c->rtit_addrs))
SUB(intel_pt, "cpu/intel_pt", ENV(rtit_ctrl), ENV(rtit_status), ENV(rtit_output_base), ENV(rtit_output_mask), ENV(rtit_cr3_match),
    ENV(rtit_addrs))
NEEDED(tsx_ctrl, c->spec->features[FW_ARCH_CAP] & 1 << 7)
SUB(tsx_ctrl, "cpu/msr_tsx_ctrl", ENV(tsx_ctrl, .wire = 4))
NEEDED(sgx, c->spec->features[FW_7_0_ECX] & F7_ECX_SGX_LC)
SUB(sgx, "cpu/intel_sgx", ENV(sgxlepubkeyhash))
NEEDED(pdptrs, c->pdptrs_valid)
SUB(pdptrs, "cpu/pdptrs", ENV(pdptrs))
NEEDED(xfd, c->spec->features[FW_XSAVE] & FD1_EAX_XFD)
SUB(xfd, "cpu/msr_xfd", ENV(xfd), ENV(xfd_err))
NEEDED(amx, NON_ZERO(c->xtilecfg) || NON_ZERO(c->xtiledata))
SUB(amx, "cpu/intel_amx_xtile", ENV(xtilecfg), ENV(xtiledata))
NEEDED(arch_lbr, c->spec->features[FW_7_0_EDX] & F7_EDX_ARCH_LBR)
SUB(arch_lbr, "cpu/arch_lbr", ENV(lbr_ctl), ENV(lbr_depth), STRUCTS(X86Cpu, lbr, &lbr_record))
NEEDED(triple_fault, c->triple_fault_pending)
SUB(triple_fault, "cpu/triple_fault", ENV(triple_fault_pending))

static const StateTable *const subsections[] = {
    &exception_info_state, &async_pf_state, &async_pf_int_state, &pv_eoi_state, &steal_time_state, &poll_control_state, &fpop_state,
    &tsc_adjust_state, &tsc_deadline_state, &misc_enable_state, &feature_control_state, &pmu_state, &mpx_state, &hv_hypercall_state,
    &hv_vapic_state, &hv_time_state, &hv_crash_state, &hv_runtime_state, &hv_synic_state, &hv_stimer_state, &hv_reenlightenment_state,
    &avx512_state, &xss_state, &umwait_state, &tsc_khz_state, &smi_count_state, &pkru_state, &pkrs_state, &spec_ctrl_state,
    &amx_state, &mcg_ext_ctl_state, &intel_pt_state, &virt_ssbd_state, &tsc_scale_state, &tsx_ctrl_state, &sgx_state, &pdptrs_state,
    &xfd_state, &arch_lbr_state, &triple_fault_state, NULL
};

/* ---- The section ---- */

/* Real mode's segments have DPL 0; and an exception that is pending in no nested guest is as good as injected. */
static void cpu_save(void *obj)
{
    X86Cpu *c = obj;

    x86_cpu_sync(c);
    if (!(c->cr0 & CR0_PE) && (c->segs[R_CS].flags >> SEG_DPL_SHIFT & 3)) {
        for (unsigned i = 0; i < 6; i++) {
            c->segs[i].flags &= ~(3u << SEG_DPL_SHIFT);
        }
    }
    if (c->exception_pending && !(c->hflags & HF_GUEST)) {
        c->exception_pending = 0;
        c->exception_injected = 1;
        if (c->exception_has_payload && c->exception_nr == 1) {
            c->dr[6] |= c->exception_payload;
        } else if (c->exception_has_payload && c->exception_nr == 14) {
            c->cr2 = c->exception_payload;
        }
    }
}

/* What subsections that are not there mean. */
static bool cpu_load(void *obj, GError **err)
{
    X86Cpu *c = obj;

    if (c->vcpu.fd >= 0) {
        x86_cpu_sync(c);
    }
    for (const StateTable *const *s = subsections; *s; s++) {
        state_reset(*s, c);
    }
    c->pdptrs_valid = false;
    return true;
}

static bool cpu_loaded(void *obj, int version, GError **err)
{
    X86Cpu *c = obj;

    if (c->tsc_khz && c->spec->p.tsc_frequency && c->tsc_khz != c->spec->p.tsc_frequency / 1000) {
        return error_set(err, "the stream's TSC runs at %" G_GINT64_FORMAT " kHz, and -cpu wants %" G_GINT64_FORMAT, c->tsc_khz,
                         c->spec->p.tsc_frequency / 1000);
    }
    if (c->interrupt_injected > 255 || c->exception_nr > 31 || c->mp_state > 5) {
        return error_set(err, "cpu: an event that does not exist");
    }
    c->hflags &= ~HF_CPL;
    c->hflags |= c->segs[R_SS].flags >> SEG_DPL_SHIFT & HF_CPL;
    c->pdptrs_valid = NON_ZERO(c->pdptrs);
    if (c->exception_nr >= 0 && !c->exception_pending && !c->exception_injected) {
        c->exception_injected = 1;
    }
    c->nmi_masked = !!(c->hflags2 & HF2_NMI);
    c->smm = !!(c->hflags & HF_SMM);
    c->mcg_cap &= ~0xffull;
    c->mcg_cap |= c->mcg_cap ? X86_MCE_BANKS : 0;
    c->put_all = c->put_lapic = true;
    c->vcpu.regs_dirty = c->vcpu.regs_valid = true;
    return true;
}

static bool set_format(void *obj, uint64_t v, GError **err)
{
    return v == 0 ? true : error_set(err, "x87 registers in a format before 80 bits");
}

static uint64_t get_format(const void *obj)
{
    return 0;
}

#define AS(n, m, ...) FIELD(X86Cpu, m, .name = "env." n, __VA_ARGS__)
static const Field cpu_fields[] = {
    AS("regs", regs),
    AS("eip", eip, .reset = 0xfff0),
    AS("eflags", eflags, .reset = 2),
    AS("hflags", hflags),
    AS("fpuc", fpuc, .reset = 0x37f),
    AS("fpus_vmstate", fpus),
    AS("fptag_vmstate", fptag, .max = 0xff),
    VIRTUAL("env.fpregs_format_vmstate", 2, .get = get_format, .set = set_format),
    STRUCTS(X86Cpu, fpregs, &fpreg),
    STRUCTS(X86Cpu, segs, &segment),
    STRUCT(X86Cpu, ldt, &segment),
    STRUCT(X86Cpu, tr, &segment),
    STRUCT(X86Cpu, gdt, &segment),
    STRUCT(X86Cpu, idt, &segment),
    AS("sysenter_cs", sysenter_cs),
    AS("sysenter_esp", sysenter_esp),
    AS("sysenter_eip", sysenter_eip),
    AS("cr[0]", cr0, .reset = 0x60000010),
    AS("cr[2]", cr2),
    AS("cr[3]", cr3),
    AS("cr[4]", cr4),
    AS("dr", dr),
    AS("a20_mask", a20_mask, .reset = (uint64_t)-1),
    AS("mxcsr", mxcsr, .reset = 0x1f80),
    STRUCTS(X86Cpu, zmm, &xmm_reg, .count = 16),
    AS("efer", efer),
    AS("star", star),
    AS("lstar", lstar),
    AS("cstar", cstar),
    AS("fmask", fmask),
    AS("kernelgsbase", kernelgsbase),
    AS("smbase", smbase, .reset = 0x30000),
    AS("pat", pat, .reset = 0x0007040600070406),
    AS("hflags2", hflags2),
    AS("vm_hsave", vm_hsave),
    UNUSED(8 + 8 + 8 + 2 * 4 + 4 + 1),          /* TCG's VMCB, TSC offset, intercepts, TPR */
    AS("mtrr_fixed", mtrr_fixed),
    AS("mtrr_deftype", mtrr_deftype),
    STRUCTS(X86Cpu, mtrr_var, &mtrr_var),
    AS("interrupt_injected", interrupt_injected, .reset = (uint64_t)-1),
    AS("mp_state", mp_state),
    AS("tsc", tsc),
    AS("exception_nr", exception_nr, .reset = (uint64_t)-1),
    AS("soft_interrupt", soft_interrupt),
    AS("nmi_injected", nmi_injected),
    AS("nmi_pending", nmi_pending),
    AS("has_error_code", has_error_code),
    AS("sipi_vector", sipi_vector),
    AS("mcg_cap", mcg_cap, .keep = true),
    AS("mcg_status", mcg_status),
    AS("mcg_ctl", mcg_ctl),
    AS("mce_banks", mce_banks),
    AS("tsc_aux", tsc_aux),
    AS("system_time_msr", system_time_msr),
    AS("wall_clock_msr", wall_clock_msr),
    AS("xcr0", xcr0, .reset = 1),
    AS("xstate_bv", xstate_bv, .reset = 3),
    STRUCTS(X86Cpu, zmm, &ymmh_reg, .count = 16),

    LOCAL(X86Cpu, pdptrs_valid),
    LOCAL(X86Cpu, exception_injected),
    LOCAL(X86Cpu, error_code),
    LOCAL(X86Cpu, nmi_masked), LOCAL(X86Cpu, smm), LOCAL(X86Cpu, interrupt_shadow),
    LOCAL(X86Cpu, smi_pending), LOCAL(X86Cpu, smi_inside_nmi), LOCAL(X86Cpu, smi_latched_init),
    LOCAL(X86Cpu, apicbase),                    /* in the apic section */
    LOCAL(X86Cpu, interrupt_request), LOCAL(X86Cpu, halted),    /* in cpu_common */
    HOST(X86Cpu, dev), HOST(X86Cpu, vcpu), HOST(X86Cpu, nested), HOST(X86Cpu, nested_size), HOST(X86Cpu, spec), HOST(X86Cpu, own_spec),
    HOST(X86Cpu, lapic), HOST(X86Cpu, common), HOST(X86Cpu, index), HOST(X86Cpu, apic_id), HOST(X86Cpu, socket_id), HOST(X86Cpu, die_id),
    HOST(X86Cpu, core_id), HOST(X86Cpu, thread_id), HOST(X86Cpu, node_id), HOST(X86Cpu, props), HOST(X86Cpu, xsave), HOST(X86Cpu, msrs),
    HOST(X86Cpu, put_lapic), HOST(X86Cpu, put_all),
    {0}
};

const StateTable x86_cpu_state = {
    .name = "cpu", .version = 12, .min_version = 12, .fields = cpu_fields, .subsections = subsections,
    .save = cpu_save, .load = cpu_load, .loaded = cpu_loaded,
};

/* ---- cpu_common ---- */

static uint64_t get_halted(const void *obj)
{
    return ((const X86CpuCommon *)obj)->cpu->halted;
}

static bool set_halted(void *obj, uint64_t v, GError **err)
{
    ((X86CpuCommon *)obj)->cpu->halted = !!v;
    return true;
}

/* In QEMU's bits. */
enum { REQUEST_HARD = 1 << 1, REQUEST_SMI = 1 << 6, REQUEST_NMI = 1 << 9, REQUEST_INIT = 1 << 10 };

static uint64_t get_request(const void *obj)
{
    const X86Cpu *c = ((const X86CpuCommon *)obj)->cpu;

    return c->interrupt_request | (c->smi_pending ? REQUEST_SMI : 0) | (c->smi_latched_init ? REQUEST_INIT : 0);
}

static bool set_request(void *obj, uint64_t v, GError **err)
{
    X86Cpu *c = ((X86CpuCommon *)obj)->cpu;

    c->interrupt_request = v & (REQUEST_HARD | REQUEST_NMI);
    c->smi_pending = !!(v & REQUEST_SMI);
    c->smi_latched_init = !!(v & REQUEST_INIT);
    return true;
}

static const Field common_fields[] = {
    VIRTUAL("halted", 4, .get = get_halted, .set = set_halted),
    VIRTUAL("interrupt_request", 4, .get = get_request, .set = set_request),
    HOST(X86CpuCommon, dev), HOST(X86CpuCommon, cpu),
    {0}
};

static void common_save(void *obj)
{
    x86_cpu_sync(((X86CpuCommon *)obj)->cpu);
}

static const StateTable common_state = { .name = "cpu_common", .version = 1, .min_version = 1, .fields = common_fields, .save = common_save };

static void common_unrealize(Device *d)
{
    DEVICE(d, X86CpuCommon)->cpu->common = NULL;
}

const DeviceType x86_cpu_common_type = {
    .unrealize = common_unrealize,
    .name = "cpu_common", .internal = true, .no_bus = true, .category = CAT_CPU, .size = sizeof(X86CpuCommon), .state = &common_state,
};
