/*
 * The VMware port and its mouse: prints TAP on COM1, then "# ready" and the words of the first event of the mouse in
 * absolute mode.
 */
#include "pm32.inc"

#define MAGIC 0x564d5868
#define VMPORT 0x5658

.macro VMCALL command, argument=$0
    movl $MAGIC, %eax
    movl \argument, %ebx
    movl $\command, %ecx
    movl $VMPORT, %edx
    movl $0x11111111, %esi
    movl $0x22222222, %edi
    inl %dx, %eax
.endm
.macro CHECK_REG reg, value, text:vararg
    pushl %eax
    movl \reg, %eax
    CHECK \value, \text
    popl %eax
.endm

start:
    VMCALL 10
    CHECK $6, "get version: 6"
    CHECK_REG %ebx, $MAGIC, "get version: the magic number"
    CHECK_REG %ecx, $2, "get version: what product"
    VMCALL 20
    CHECK $0x4000000, "get memory size"
    VMCALL 19
    CHECK $0x78563412, "get UUID: EAX"
    CHECK_REG %ebx, $0x78563412, "get UUID: EBX"
    CHECK_REG %ecx, $0x3412bc9a, "get UUID: ECX"
    CHECK_REG %edx, $0xbc9a7856, "get UUID: EDX"
    VMCALL 99
    CHECK $-1, "an unknown command"
    movl $0x12345678, %eax
    movl $10, %ecx
    inl %dx, %eax
    CHECK $-1, "no magic number"
    CHECK_REG %esi, $0x11111111, "other registers are left alone"
    VMCALL 40
    CHECK $0xffff0000, "mouse: off"
    VMCALL 41, $0x45414552
    VMCALL 40
    CHECK $1, "mouse: read id queues a word"
    VMCALL 39, $1
    CHECK $0x3442554a, "mouse: its version"
    VMCALL 41, $0x53424152
    VMCALL 40
    CHECK $0, "mouse: on, nothing queued"
    PUTS "# ready\n"
1:  VMCALL 40
    cmpl $4, %eax
    jne 1b
    VMCALL 39, $4
    PUTS "# event"
    call show
    movl %ebx, %eax
    call show
    movl %ecx, %eax
    call show
    movl %edx, %eax
    call show
    PUTS "\n"
    VMCALL 39, $4
    VMCALL 40
    CHECK $0xffff0000, "mouse: asking for more than there is turns it off"
    jmp tap_end

show:
    pushl %eax
    PUTS " "
    popl %eax
    jmp puthex
