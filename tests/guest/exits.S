/*
 * One kind of exit, over and over: `-fw_cfg name=opt/exits,string=K` with a letter for the kind and, behind it, the
 * number of turns.  Then isa-debug-exit.
 *
 *   n  none: the empty loop            p  out to port 0x80, which nobody answers
 *   c  CMOS: out 0x70, in 0x71 (two)   s  the serial line's LSR
 *   i  in 0xcfc: PCI configuration     v  a read of VGA memory, planar
 *   f  fw_cfg: a byte                  k  the keyboard controller's status
 */
#include "pm32.inc"

start:
    movl $name, %esi
    call fw_find
    testl %eax, %eax
    jnz 1f
    PUTS "no opt/exits\n"
    FINISH $3
1:  movl $option, %edi
    movl %edx, %ecx
    andl $15, %ecx
    call fw_read
    xorl %ecx, %ecx                     /* the number */
    movl $option + 1, %esi
2:  lodsb
    subb $'0', %al
    cmpb $9, %al
    ja 3f
    movzbl %al, %eax
    imull $10, %ecx
    addl %eax, %ecx
    jmp 2b
3:  movb option, %al
    movl $kinds, %esi
4:  cmpb %al, (%esi)
    je 5f
    addl $5, %esi
    cmpl $kinds_end, %esi
    jb 4b
    FINISH $4
5:  jmp *1(%esi)

none:
    decl %ecx
    jnz none
    FINISH $0

post:
    movb $0x55, %al
1:  outb %al, $0x80
    decl %ecx
    jnz 1b
    FINISH $0

cmos:
    movb $0x0f, %al
    outb %al, $0x70
    inb $0x71, %al
    decl %ecx
    jnz cmos
    FINISH $0

serial:
    movw $COM1 + 5, %dx
1:  inb %dx, %al
    decl %ecx
    jnz 1b
    FINISH $0

pci:
    movw $0xcf8, %dx
    movl $0x80000000, %eax
    outl %eax, %dx
    movw $0xcfc, %dx
1:  inl %dx, %eax
    decl %ecx
    jnz 1b
    FINISH $0

vga:
    movb 0xa0000, %al
    decl %ecx
    jnz vga
    FINISH $0

fwcfg:
    xorl %eax, %eax
    call fw_select
1:  inb %dx, %al
    decl %ecx
    jnz 1b
    FINISH $0

kbd:
    inb $0x64, %al
    decl %ecx
    jnz kbd
    FINISH $0

    .section .rodata
name: .asciz "opt/exits"
.macro KIND letter, label
    .byte \letter
    .long \label
.endm
kinds:
    KIND 'n', none
    KIND 'p', post
    KIND 'c', cmos
    KIND 's', serial
    KIND 'i', pci
    KIND 'v', vga
    KIND 'f', fwcfg
    KIND 'k', kbd
kinds_end:
    .bss
option: .space 16
