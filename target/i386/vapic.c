/*
 * "kvmvapic": where stock QEMU keeps what its helper for 32-bit Windows' task priority register (an option ROM and
 * patched guest code) has found out.
 *
 * Not modelled: the helper itself; processors of this century don't need it. What a stream says of it is kept, and goes
 * on with the guest; a guest whose code has been patched can't run here, and is refused.
 */
#include "target/i386/cpu-int.h"
#include "util/error.h"

typedef struct VapicHandlers { uint32_t set_tpr, set_tpr_eax, get_tpr[8], get_tpr_stack; } VapicHandlers;

typedef struct Vapic {
    Device dev;
    /* the ROM's table, as the guest has it in memory */
    uint32_t vaddr, fixup_start, fixup_end, vapic_vaddr, vapic_size, vcpu_shift, rom_tpr_addr;
    VapicHandlers up, mp;
    uint32_t state, real_tpr_addr, rom_state_vaddr, vapic_paddr, rom_state_paddr;
} Vapic;

enum { VAPIC_INACTIVE, VAPIC_ACTIVE, VAPIC_STANDBY };

static const StateTable handlers = {
    .name = "kvmvapic-handlers", .version = 1, .min_version = 1,
    .fields = (const Field[]) { FIELD(VapicHandlers, set_tpr), FIELD(VapicHandlers, set_tpr_eax), FIELD(VapicHandlers, get_tpr),
        FIELD(VapicHandlers, get_tpr_stack), {0} },
};

#define ROM(m, ...) FIELD(Vapic, m, .name = "rom_state." #m, __VA_ARGS__)

static bool vapic_loaded(void *obj, int version, GError **err)
{
    if (((Vapic *)obj)->state == VAPIC_ACTIVE) {
        return error_set(err, "kvm-tpr-opt: state: the guest's code was patched to use the TPR helper, which is not here");
    }
    return true;
}

/* Without it (kernel-irqchip or KVM missing on the other side) nothing is lost. */
static bool vapic_needed(const void *obj)
{
    return true;
}

static const StateTable vapic_state = {
    .name = "kvm-tpr-opt", .version = 1, .min_version = 1, .needed = vapic_needed, .loaded = vapic_loaded,
    .fields = (const Field[]) {
        UNUSED(8, .name = "rom_state.unused"), ROM(vaddr), ROM(fixup_start), ROM(fixup_end), ROM(vapic_vaddr), ROM(vapic_size),
        ROM(vcpu_shift), FIELD(Vapic, rom_tpr_addr, .name = "rom_state.real_tpr_addr"), STRUCT(Vapic, up, &handlers),
        STRUCT(Vapic, mp, &handlers), FIELD(Vapic, state, .max = VAPIC_STANDBY), FIELD(Vapic, real_tpr_addr),
        FIELD(Vapic, rom_state_vaddr), FIELD(Vapic, vapic_paddr), FIELD(Vapic, rom_state_paddr), HOST(Vapic, dev), {0}
    },
};

const DeviceType x86_vapic_type = {
    .name = "kvmvapic", .internal = true, .category = CAT_CPU, .size = sizeof(Vapic), .state = &vapic_state,
};
