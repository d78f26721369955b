/*
 * Reads 4 KiB by DMA from the first IDE disk, over and over, one request at a time, at places that a linear congruential
 * series picks in its first 64 MiB: `-fw_cfg name=opt/reads,string=N` has their number. It halts until the interrupt. Then
 * isa-debug-exit: 0, or 1 when one of them failed.
 */
#include "pm32.inc"
#include "ide.inc"

#define IDE_CONFIG 0x80000900           /* 00:01.1 */
#define BMDMA 0xc000

start:
    movl $IDE_CONFIG + 0x20, %eax
    movl $BMDMA, %ebx
    call pci_write
    movl $IDE_CONFIG + 4, %eax          /* I/O and bus master */
    movl $5, %ebx
    call pci_write
    movl $IDE_CONFIG + 0x40, %eax       /* both channels decode */
    movl $0x80008000, %ebx
    call pci_write
    call irq_setup
    movl $2, %ecx
    call irq_unmask
    movl $14, %ecx
    call irq_unmask
    movl $name, %esi
    call fw_number
    movl %ecx, left
    testl %ecx, %ecx
    jz 2f
1:  call read_one
    testb $1, %al
    jnz 3f
    decl left
    jnz 1b
2:  FINISH $0
3:  FINISH $1

/* al: the drive's status */
read_one:
    movl $prd, %edi
    movl $buffer, (%edi)
    movl $0x80001000, 4(%edi)
    movl %edi, %eax
    movw $BMDMA + 4, %dx
    outl %eax, %dx
    OUTPORT $6, BMDMA + 2               /* clear interrupt and error */
    imull $1664525, series, %ebx
    addl $1013904223, %ebx
    movl %ebx, series
    shrl $12, %ebx
    andl $0x1fff8, %ebx                 /* sectors below 64 MiB, in eights */
    movb $0xc8, %ah                     /* READ DMA */
    movl $8, %ecx
    call ide_command
    OUTPORT $9, BMDMA
    incl done
    movl done, %ebx
    movl $14, %ecx
    call irq_halt
    INPORT BMDMA + 2
    OUTPORT $0, BMDMA
    jmp ide_ready

    .section .rodata
name: .asciz "opt/reads"
    .bss
    .balign 16
prd: .space 8
series: .space 4
done: .space 4
left: .space 4
buffer = 0x200000                       /* 4 KiB in RAM */
