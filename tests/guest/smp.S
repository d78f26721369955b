/*
 * Wakes the other processors with INIT and SIPI; each adds one to a counter and halts.  Prints how many came.
 * Then every processor gets an interrupt through the I/O APIC's and local APIC's registers: an IPI to each.
 */
#include "pm32.inc"

#define APIC 0xfee00000
#define TRAMPOLINE 0x2000

start:
    call irq_setup
    movl APIC + 0xf0, %eax              /* software enable */
    orl $0x100, %eax
    movl %eax, APIC + 0xf0
    movl $trampoline, %esi
    movl $TRAMPOLINE, %edi
    movl $trampoline_end - trampoline, %ecx
    rep movsb
    movl $0, 0x3000
    movl $0x000c4500, APIC + 0x300      /* INIT to all but self */
    movl $100000, %ecx
1:  loop 1b
    movl $0x000c4600 + (TRAMPOLINE >> 12), APIC + 0x300
    movl $5, %eax                       /* how many there should be, by fw_cfg */
    movl $want, %edi
    movl $2, %ecx
    call fw_read
    movzwl want, %ebx
    decl %ebx
    movl $50000000, %ecx
2:  cmpl %ebx, 0x3000
    je 3f
    loop 2b
3:  movl 0x3000, %eax
    CHECK %ebx, "every other processor starts"
    PUTS "# processors: "
    incl %eax
    call putdec
    PUTS "\n"
    movl APIC + 0x20, %eax
    shrl $24, %eax
    CHECK $0, "this one's APIC id"
    movl APIC + 0x30, %eax
    andl $0xff, %eax
    CHECK $0x14, "the APIC's version"
    movl $0xfec00000, %edi              /* I/O APIC version: 24 pins */
    movl $1, (%edi)
    movl 0x10(%edi), %eax
    shrl $16, %eax
    andl $0xff, %eax
    CHECK $23, "the I/O APIC has 24 pins"
    movl $0x00044021, APIC + 0x300      /* vector 0x21 to self */
    movl $1, %ecx
    movl $1, %ebx
    call irq_wait
    TAP "an interrupt to oneself"
    movl $0, APIC + 0xb0
    jmp tap_end

    .code16
trampoline:
    lock incl %cs:0x1000                /* 0x3000 */
1:  cli
    hlt
    jmp 1b
trampoline_end:
    .code32
    .bss
want: .space 4
