/*
 * x87, SSE, AVX and the other XSAVE components, between the CPU struct and KVM's image of them.
 * Facts: SDM volume 1, chapter 13 (standard form; places from CPUID leaf 0xd).
 */
#include "target/i386/cpu-int.h"
#include "accel/kvm/kvm.h"
#include "util/error.h"

/* The legacy region and the header. */
typedef struct XsaveLegacy {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16], xmm[16][16];
    uint8_t unused[96];
    uint64_t xstate_bv, xcomp_bv, zero[6];
} XsaveLegacy;
G_STATIC_ASSERT(sizeof(XsaveLegacy) == 0x240);

static size_t area_size(void)
{
    int n = kvm_check(KVM_CAP_XSAVE2);

    return MAX(n, 4096);
}

static uint8_t *buffer(X86Cpu *c)
{
    if (!c->xsave) {
        c->xsave = g_malloc0(area_size());
    }
    return c->xsave;
}

/* Where component i lies; NULL when this CPU or the area has none. */
static void *component(X86Cpu *c, unsigned i, size_t need)
{
    const struct XsaveArea *a = &c->spec->xsave[i];

    if (!(c->spec->features[FW_XCR0_LO] >> i & 1) || a->size < need || a->offset < sizeof(XsaveLegacy) || a->offset + a->size > area_size()) {
        return NULL;
    }
    return buffer(c) + a->offset;
}

/* One direction or the other of a copy. */
static void move(void *ours, void *theirs, size_t n, bool put)
{
    memcpy(put ? theirs : ours, put ? ours : theirs, n);
}

static void move_legacy(X86Cpu *c, XsaveLegacy *x, bool put)
{
    if (put) {
        x->fcw = c->fpuc;
        x->fsw = c->fpus;
        x->ftw = c->fptag;
        x->fop = c->fpop;
        x->fip = c->fpip;
        x->fdp = c->fpdp;
        x->mxcsr = c->mxcsr;
        x->xstate_bv = c->xstate_bv;
    } else {
        c->fpuc = x->fcw;
        c->fpus = x->fsw;
        c->fptag = x->ftw;
        c->fpop = x->fop;
        c->fpip = x->fip;
        c->fpdp = x->fdp;
        c->mxcsr = x->mxcsr;
        c->xstate_bv = x->xstate_bv;
    }
    for (unsigned i = 0; i < 8; i++) {
        move(&c->fpregs[i].mant, x->st[i], 8, put);
        move(&c->fpregs[i].exp, x->st[i] + 8, 2, put);
    }
    for (unsigned i = 0; i < 16; i++) {
        move(c->zmm[i].q, x->xmm[i], 16, put);
    }
}

static void move_components(X86Cpu *c, bool put)
{
    uint8_t *avx = component(c, XC_AVX, 256), *hi256 = component(c, XC_ZMM_HI256, 512), *hi16 = component(c, XC_HI16_ZMM, 1024);
    uint8_t *opmask = component(c, XC_OPMASK, 64), *bnd = component(c, XC_BNDREGS, 64), *csr = component(c, XC_BNDCSR, 16);
    uint8_t *pkru = component(c, XC_PKRU, 4), *cfg = component(c, XC_XTILECFG, 64), *tiles = component(c, XC_XTILEDATA, 8192);

    for (unsigned i = 0; i < 16; i++) {
        if (avx) {
            move(c->zmm[i].q + 2, avx + 16 * i, 16, put);
        }
        if (hi256) {
            move(c->zmm[i].q + 4, hi256 + 32 * i, 32, put);
        }
        if (hi16) {
            move(c->zmm[16 + i].q, hi16 + 64 * i, 64, put);
        }
    }
    if (opmask) {
        move(c->opmask, opmask, 64, put);
    }
    if (bnd) {
        move(c->bnd, bnd, 64, put);
    }
    if (csr) {
        move(&c->bndcfgu, csr, 8, put);
        move(&c->bndstatus, csr + 8, 8, put);
    }
    if (pkru) {
        move(&c->pkru, pkru, 4, put);
    }
    if (cfg) {
        move(c->xtilecfg, cfg, 64, put);
    }
    if (tiles) {
        move(c->xtiledata, tiles, 8192, put);
    }
}

static void fpu_get(X86Cpu *c)
{
    struct kvm_fpu f = { 0 };

    if (kvm_vcpu_ioctl(&c->vcpu, KVM_GET_FPU, &f) < 0) {
        return;
    }
    c->fpuc = f.fcw;
    c->fpus = f.fsw;
    c->fptag = f.ftwx;
    c->fpop = f.last_opcode;
    c->fpip = f.last_ip;
    c->fpdp = f.last_dp;
    c->mxcsr = f.mxcsr;
    for (unsigned i = 0; i < 16; i++) {
        if (i < 8) {
            memcpy(&c->fpregs[i].mant, f.fpr[i], 8);
            memcpy(&c->fpregs[i].exp, f.fpr[i] + 8, 2);
        }
        memcpy(c->zmm[i].q, f.xmm[i], 16);
    }
}

static void fpu_put(X86Cpu *c)
{
    struct kvm_fpu f = { .fcw = c->fpuc, .fsw = c->fpus, .ftwx = c->fptag, .last_opcode = c->fpop, .last_ip = c->fpip,
                         .last_dp = c->fpdp, .mxcsr = c->mxcsr };

    for (unsigned i = 0; i < 16; i++) {
        if (i < 8) {
            memcpy(f.fpr[i], &c->fpregs[i].mant, 8);
            memcpy(f.fpr[i] + 8, &c->fpregs[i].exp, 2);
        }
        memcpy(f.xmm[i], c->zmm[i].q, 16);
    }
    kvm_vcpu_ioctl(&c->vcpu, KVM_SET_FPU, &f);
}

void x86_xsave_get(X86Cpu *c)
{
    void *b = buffer(c);
    int r;

    if (!kvm_check(KVM_CAP_XSAVE)) {
        fpu_get(c);
        return;
    }
    r = kvm_vcpu_ioctl(&c->vcpu, kvm_check(KVM_CAP_XSAVE2) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, b);
    if (r < 0) {
        error_report("CPU %u: KVM does not give its FPU: %s", c->index, g_strerror(-r));
        return;
    }
    move_legacy(c, b, false);
    move_components(c, false);
}

void x86_xsave_put(X86Cpu *c)
{
    uint8_t *b = buffer(c);
    int r;

    if (!kvm_check(KVM_CAP_XSAVE)) {
        fpu_put(c);
        return;
    }
    memset(b, 0, area_size());
    move_legacy(c, (XsaveLegacy *)(void *)b, true);
    /* Only what is in use counts; a component that the header does not name would be reset. */
    move_components(c, true);
    r = kvm_vcpu_ioctl(&c->vcpu, KVM_SET_XSAVE, b);
    if (r < 0) {
        error_report("CPU %u: KVM does not take its FPU: %s", c->index, g_strerror(-r));
    }
}
