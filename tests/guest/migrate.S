/*
 * A guest to be moved while it works: in each round it writes patterns over its memory and checks those of the round
 * before, writes a sector to the disk (if there is one) and reads back another, takes a tick of the PIT, and prints
 *
 *   ROUND ticks TICKS pm PMTIMER rtc PERIODS
 *
 * on COM1, where PERIODS counts half seconds by the RTC.  Whatever it finds wrong it says in a line with "BAD".  A 'q' on COM1 ends it, with the exit status for a
 * success if nothing was wrong; any other character is answered with a line "got CHARACTER".
 */
#include "pm32.inc"

#define FIRST 0x200000
#define LAST 0xe00000
#define SECTORS 64
#define TICK 0xd0af                     /* 22.3 Hz */

start:
    call irq_setup
    OUTPORT $0x34, 0x43
    OUTPORT $TICK & 0xff, 0x40
    OUTPORT $TICK >> 8, 0x40
    xorl %ecx, %ecx
    call irq_unmask
    OUTPORT $2, 0x3f6                   /* IDE: no interrupts */
    INPORT 0x1f7
    movb %al, disk_status
    movl $0x80000b40, %eax              /* PM base 0xb000 */
    movl $0xb000, %ebx
    call pci_write
    movl $0x80000b80, %eax
    movl $1, %ebx
    call pci_write
    OUTPORT $0x0a, 0x70                 /* RTC: periodic, 2 Hz; asked for, not taken as an interrupt */
    OUTPORT $0x2f, 0x71
    OUTPORT $0x0b, 0x70
    OUTPORT $0x42, 0x71
    OUTPORT $0x0c, 0x70
    INPORT 0x71
round:
    call memory
    call disk
    movl irq_count, %ebx
    incl %ebx
    xorl %ecx, %ecx
    call irq_wait
    jz 1f
    PUTS "BAD: no tick\n"
    incl tap_bad
1:  movl rounds, %eax
    call putdec
    PUTS " ticks "
    movl irq_count, %eax
    call putdec
    PUTS " pm "
    movw $0xb008, %dx
    inl %dx, %eax
    call puthex
    OUTPORT $0x0c, 0x70
    INPORT 0x71
    testb $0x40, %al
    jz 1f
    incl periods
1:  PUTS " rtc "
    movl periods, %eax
    call putdec
    PUTS "\n"
    incl rounds
    INPORT COM1 + 5
    testb $1, %al
    jz round
    INPORT COM1
    cmpb $'q', %al
    je 2f
    PUTS "got "
    call putc
    PUTS "\n"
    jmp round
2:  PUTS "end\n"
    cmpl $0, tap_bad
    setne %al
    jmp finish

/* A word in every page, at a place that moves with the round: what it must be follows from page and round. */
memory:
    movl rounds, %ebx
    movl $FIRST, %edi
1:  testl %ebx, %ebx
    jz 2f
    leal -1(%ebx), %eax
    call pattern
    cmpl %eax, (%esi)
    je 2f
    incl tap_bad
    PUTS "BAD: memory at "
    movl %esi, %eax
    call puthex
    PUTS "\n"
2:  movl %ebx, %eax
    call pattern
    movl %eax, (%esi)
    addl $0x1000, %edi
    cmpl $LAST, %edi
    jb 1b
    ret

/* eax: round, edi: page -> esi: where, eax: what */
pattern:
    movl %eax, %esi
    shll $2, %esi
    andl $0xffc, %esi
    addl %edi, %esi
    imull $1664525, %eax
    xorl %edi, %eax
    ret

disk:
    cmpb $0, disk_status                /* no drive, no bits; no controller, all of them */
    je 9f
    cmpb $0xff, disk_status
    je 9f
    movl rounds, %ebx
    movl $buffer, %edi
    call sector_fill
    movb $0x30, %ah
    call ide_sector
    movl $buffer, %esi
    movl $256, %ecx
    movw $0x1f0, %dx
    rep outsw
    call ide_ready
    testb $1, %al
    jnz 8f
    movl rounds, %ebx                   /* what was written SECTORS - 1 rounds ago */
    subl $SECTORS - 1, %ebx
    js 9f
    movb $0x20, %ah
    call ide_sector
    movl $buffer, %edi
    movl $256, %ecx
    movw $0x1f0, %dx
    rep insw
    movl $buffer, %edi
    movl $128, %ecx
    movl %ebx, %eax
1:  imull $1664525, %eax
    addl $1013904223, %eax
    cmpl %eax, (%edi)
    jne 8f
    addl $4, %edi
    loop 1b
9:  ret
8:  incl tap_bad
    PUTS "BAD: disk\n"
    ret

sector_fill:                            /* edi, ebx: round */
    movl $128, %ecx
    movl %ebx, %eax
1:  imull $1664525, %eax
    addl $1013904223, %eax
    movl %eax, (%edi)
    addl $4, %edi
    loop 1b
    ret

ide_ready:                              /* al: status */
    movw $0x1f7, %dx
1:  inb %dx, %al
    testb $0x80, %al
    jnz 1b
    ret

ide_sector:                             /* ah: command, ebx: round; returns when it wants or has data */
    pushl %eax
    call ide_ready
    OUTPORT $0xe0, 0x1f6
    OUTPORT $1, 0x1f2
    movb %bl, %al
    andb $SECTORS - 1, %al
    movw $0x1f3, %dx
    outb %al, %dx
    OUTPORT $0, 0x1f4
    OUTPORT $0, 0x1f5
    popl %eax
    movb %ah, %al
    movw $0x1f7, %dx
    outb %al, %dx
    movl $5000000, %ecx
1:  inb %dx, %al
    andb $0x88, %al
    cmpb $0x08, %al
    loopne 1b
    ret

pci_write:                              /* eax: address, ebx: value */
    movw $0xcf8, %dx
    outl %eax, %dx
    movl %ebx, %eax
    movw $0xcfc, %dx
    outl %eax, %dx
    ret

    .bss
rounds:
    .long 0
periods:
    .long 0
disk_status:
    .byte 0
    .balign 4
buffer:
    .space 512
