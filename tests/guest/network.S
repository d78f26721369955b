/*
 * An e1000 at work: `-fw_cfg name=opt/network,string=...` says what to do, see network.c.  Its C part runs in flat
 * 32-bit mode on pm32.inc's stack.
 */
#include "pm32.inc"

    .globl guest_putc, guest_tap, guest_option, guest_end
start:
    call network
    FINISH %al

guest_putc:                             /* (char) */
    movb 4(%esp), %al
    jmp putc

guest_tap:                              /* (passed, text) */
    pushl %esi
    movl 12(%esp), %esi
    cmpl $1, 8(%esp)
    call tap
    popl %esi
    ret

guest_option:                           /* (to, size): the option's text, ended by 0; or 0 */
    pushl %esi
    pushl %edi
    movl $name, %esi
    call fw_find
    testl %eax, %eax
    jz 2f
    movl 16(%esp), %ecx
    decl %ecx
    cmpl %ecx, %edx
    jae 1f
    movl %edx, %ecx
1:  movl 12(%esp), %edi
    movb $0, (%edi, %ecx)
    call fw_read
    movl $1, %eax
2:  popl %edi
    popl %esi
    ret

guest_end:
    jmp tap_end

    .section .rodata
name:
    .asciz "opt/network"

    .section .note.GNU-stack, "", @progbits
