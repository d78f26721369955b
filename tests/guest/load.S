/*
 * A guest to be measured while it is moved: fills its memory, from 16 MiB on, with a file's data, then writes to part of it
 * for ever.
 *
 *   -fw_cfg name=opt/data,file=F     the data: F's size must be whole MiB
 *   -fw_cfg name=opt/fill,string=N   MiB to fill, by fw_cfg's DMA
 *   -fw_cfg name=opt/dirty,string=N  MiB of which a word in each page is written, over and over; 0: it halts
 *
 * Says "filled" on COM1 when the memory is full.
 */
#include "pm32.inc"

#define FIRST 16                        /* MiB: a piece of up to 16 MiB must not run into the hole */
#define HOLE 3072                       /* MiB of RAM below 4 GiB, when there is more */

start:
    movl $fill_name, %esi
    call fw_number
    movl %ecx, %ebp                     /* MiB to do */
    movl $data_name, %esi
    call fw_find
    testl %eax, %eax
    jz 9f
    shll $16, %eax
    orl $0x0a, %eax                     /* select, read */
    bswapl %eax
    movl %eax, command
    movl %edx, %eax
    bswapl %eax
    movl %eax, dma + 4
    shrl $20, %edx
    jz 9f
    movl %edx, step
    movl $FIRST, %ebx
1:  cmpl step, %ebp
    jb 9f
    movl %ebx, %eax
    xorl %ecx, %ecx
    cmpl $HOLE, %eax
    jb 2f
    subl $HOLE, %eax
    incl %ecx
2:  shll $20, %eax
    bswapl %eax
    movl %eax, dma + 12
    bswapl %ecx
    movl %ecx, dma + 8
    movl command, %eax
    movl %eax, dma
    xorl %eax, %eax
    movw $0x514, %dx
    outl %eax, %dx
    movl $dma, %eax
    bswapl %eax
    movw $0x518, %dx
    outl %eax, %dx
3:  cmpl $0, dma
    jne 3b
    addl step, %ebx
    subl step, %ebp
    jmp 1b
9:  PUTS "filled\n"
    movl $dirty_name, %esi
    call fw_number
    testl %ecx, %ecx
    jz 8f
    movl %ecx, %ebx
    shll $8, %ebx                       /* pages */
4:  movl %ebx, %ecx
    movl $FIRST << 20, %edi
5:  incl (%edi)
    addl $0x1000, %edi
    loop 5b
    jmp 4b
8:  hlt
    jmp 8b

fill_name: .asciz "opt/fill"
data_name: .asciz "opt/data"
dirty_name: .asciz "opt/dirty"

    .bss
    .balign 8
dma:
    .space 16
command:
    .long 0
step:
    .long 0
