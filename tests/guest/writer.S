/*
 * Writes CHUNKS chunks of 64 KiB, each with a pattern of its own, to the first IDE disk, flushes, reads them back and
 * compares. fw_cfg's opt/mode says how: "d" by DMA, "p" by PIO, "m" by PIO with WRITE MULTIPLE; "l" writes by DMA, flushes and
 * begins again, without end. Prints '.' for each chunk that the disk took, 'E' for one that it gave an error for; 'F' is an
 * error of the flush.
 */
#include "pm32.inc"
#include "ide.inc"

#define CHUNKS 24
#define CHUNK 0x10000
#define SECTORS 128
#define IDE_CONFIG 0x80000900           /* 00:01.1 */
#define BMDMA 0xc000
#define MULTIPLE 16

start:
    call setup
    call write_all
    PUTS "\n"
    cmpb $0, flush_bad
    je 1f
    PUTS "F\n"
1:  call read_all
    testl %eax, %eax
    TAP "what the disk took is on it"
    jmp tap_end

setup:
    movl $IDE_CONFIG + 0x20, %eax
    movl $BMDMA, %ebx
    call pci_write
    movl $IDE_CONFIG + 4, %eax          /* I/O and bus master */
    movl $5, %ebx
    call pci_write
    movl $IDE_CONFIG + 0x40, %eax       /* both channels decode */
    movl $0x80008000, %ebx
    call pci_write
    movl $mode_name, %esi
    call fw_find
    movl $mode, %edi
    movl $1, %ecx
    call fw_read
    movl $1, burst
    cmpb $'m', mode
    jne 1f
    movl $MULTIPLE, burst
    movb $0xc6, %ah                     /* SET MULTIPLE MODE */
    xorl %ebx, %ebx
    movl $MULTIPLE, %ecx
    call ide_command
    call ide_ready
1:  ret

write_all:
    xorl %ebp, %ebp
1:  movl $buffer, %edi
    movl $CHUNK, %ecx
    leal 1(%ebp), %ebx
    call pattern_fill
    cmpb $'p', mode
    je 2f
    cmpb $'m', mode
    je 2f
    movb $0xca, %ah                     /* WRITE DMA */
    movb $0, %al
    call dma
    jmp 3f
2:  call pio_write
3:  movb $'.', %al
    testb %bl, %bl
    jz 4f
    movb $'E', %al
4:  movb %bl, result(%ebp)
    call putc
    incl %ebp
    cmpl $CHUNKS, %ebp
    jb 1b
    movb $0xe7, %ah                     /* FLUSH CACHE */
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    call ide_command
    call ide_ready
    andb $1, %al
    movb %al, flush_bad
    cmpb $'l', mode
    je write_all
    ret

/* Chunk ebp from buffer; bl: error bit */
pio_write:
    movb $0x30, %ah                     /* WRITE SECTORS */
    cmpl $1, burst
    je 1f
    movb $0xc5, %ah                     /* WRITE MULTIPLE */
1:  movl %ebp, %ebx
    shll $7, %ebx
    movl $SECTORS, %ecx
    call ide_command
    movl $buffer, %esi
    movl $SECTORS, %edi
2:  call ide_ready
    testb $1, %al
    jnz 3f
    movl burst, %ecx
    subl %ecx, %edi
    shll $8, %ecx
    movw $0x1f0, %dx
    rep outsw
    testl %edi, %edi
    jnz 2b
    call ide_ready
3:  movb %al, %bl
    andb $1, %bl
    ret

/* Chunk ebp to buffer; bl: error bit */
pio_read:
    movb $0x20, %ah                     /* READ SECTORS */
    cmpl $1, burst
    je 1f
    movb $0xc4, %ah                     /* READ MULTIPLE */
1:  movl %ebp, %ebx
    shll $7, %ebx
    movl $SECTORS, %ecx
    call ide_command
    movl $buffer, %edi
    movl $SECTORS, %esi
2:  call ide_ready
    testb $1, %al
    jnz 3f
    movl burst, %ecx
    subl %ecx, %esi
    shll $8, %ecx
    movw $0x1f0, %dx
    rep insw
    testl %esi, %esi
    jnz 2b
    movb $0, %al
3:  movb %al, %bl
    andb $1, %bl
    ret

/* Chunk ebp to or from buffer, in two regions; ah: command, al: 8 to read, 0 to write; bl: error bit */
dma:
    pushl %eax
    movl $prd, %edi
    movl $buffer, (%edi)
    movl $0x8000, 4(%edi)
    movl $buffer + 0x8000, 8(%edi)
    movl $0x80008000, 12(%edi)
    movl %edi, %eax
    movw $BMDMA + 4, %dx
    outl %eax, %dx
    OUTPORT $6, BMDMA + 2               /* clear interrupt and error */
    popl %eax
    pushl %eax
    movl %ebp, %ebx
    shll $7, %ebx
    movl $SECTORS, %ecx
    call ide_command
    popl %eax
    orb $1, %al
    movw $BMDMA, %dx
    outb %al, %dx
1:  INPORT BMDMA + 2
    testb $4, %al
    jz 1b
    OUTPORT $0, BMDMA
    call ide_ready
    movb %al, %bl
    andb $1, %bl
    ret

/* eax: how many of those that were taken read back wrong */
read_all:
    pushl $0
    xorl %ebp, %ebp
1:  cmpb $0, result(%ebp)
    jne 3f
    movl $buffer, %edi
    movl $CHUNK / 4, %ecx
    xorl %eax, %eax
    rep stosl
    cmpb $'p', mode
    je 4f
    cmpb $'m', mode
    je 4f
    movb $0xc8, %ah                     /* READ DMA */
    movb $8, %al
    call dma
    jmp 5f
4:  call pio_read
5:  testb %bl, %bl
    jnz 2f
    movl $buffer, %edi
    movl $CHUNK, %ecx
    leal 1(%ebp), %ebx
    call pattern_compare
    je 3f
2:  incl (%esp)
3:  incl %ebp
    cmpl $CHUNKS, %ebp
    jb 1b
    popl %eax
    ret

    .section .rodata
mode_name: .asciz "opt/mode"
    .bss
    .balign 16
prd: .space 16
burst: .space 4
mode: .space 1
flush_bad: .space 1
result: .space CHUNKS
buffer = 0x200000                       /* 64 KiB in RAM */
