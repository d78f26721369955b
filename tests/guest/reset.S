/*
 * All the ways to reset a PC, one after the other; CMOS byte 0x60 keeps count, as the battery does.  Prints a line
 * for each start and powers off through ACPI after the last.
 */
#include "pm32.inc"

#define PM_BASE 0xb000

start:
    movb $0x60, %al
    outb %al, $0x70
    inb $0x71, %al
    movzbl %al, %ebx
    PUTS "start "
    movl %ebx, %eax
    call putdec
    PUTS "\n"
    incl %eax
    outb %al, $0x71
    cmpl $4, %ebx
    ja off
    jmp *ways(, %ebx, 4)

kbd:                                    /* the keyboard controller's pulse */
    OUTPORT $0xfe, 0x64
    jmp stay
port92:
    inb $0x92, %al
    orb $1, %al
    outb %al, $0x92
    jmp stay
rcr:                                    /* PIIX3: a hard reset */
    OUTPORT $2, 0xcf9
    OUTPORT $6, 0xcf9
    jmp stay
triple:
    lidt none
    ud2
soft:                                   /* PIIX3: a soft one */
    OUTPORT $0, 0xcf9
    OUTPORT $4, 0xcf9
stay:
    PUTS "goes on\n"                   /* no instruction behind the one that resets may run */
    movl $2000000, %ecx
1:  inb $0x80, %al
    loop 1b
    PUTS "no reset\n"
    FINISH $1

off:
    movl $0x80000b40, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl $PM_BASE, %eax
    movw $0xcfc, %dx
    outl %eax, %dx
    movl $0x80000b80, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl $1, %eax
    movw $0xcfc, %dx
    outl %eax, %dx
    PUTS "power off\n"
    movw $PM_BASE + 4, %dx
    movw $0x2000, %ax                   /* SLP_EN, type 0: S5 */
    outw %ax, %dx
    jmp stay

    .section .rodata
ways: .long kbd, port92, rcr, triple, soft
none: .word 0
    .long 0
