/*
 * A PC's parts, as a firmware meets them, on real interrupts: prints TAP on COM1.  Wants one IDE disk of at least
 * 64 KiB on the primary channel, whose content it overwrites, and 64 MiB of RAM.  At its end it echoes what comes
 * over the serial line, until a '.'.
 */
#include "pm32.inc"
#include "ide.inc"

#define IDE_CONFIG 0x80000900           /* 00:01.1 */
#define BMDMA 0xc000
#define RTC_TURNS 20

start:
    call memory
    call irq_setup
    call pit
    call rtc
    call keyboard
    call firmware_config
    call pci
    call serial
    call ide_identify
    call ide_pio
    call ide_dma
    call echo
    jmp tap_end

/* ---- memory ---- */

memory:
    movl $0x100000, %edi                /* a different word at every 4 KiB, from 1 to 63 MiB */
1:  movl %edi, %eax
    notl %eax
    movl %eax, (%edi)
    addl $0x1000, %edi
    cmpl $0x3f00000, %edi
    jb 1b
    movl $0x100000, %edi
2:  movl %edi, %eax
    notl %eax
    cmpl %eax, (%edi)
    jne 3f
    addl $0x1000, %edi
    cmpl $0x3f00000, %edi
    jb 2b
    xorl %eax, %eax
3:  TAP "memory keeps what is written to it"
    movl 0xd0000000, %eax               /* nothing is there, and nothing happens */
    movl $0x12345678, 0xd0000000
    movl 0xf0000, %eax                  /* ROM: a write goes nowhere */
    movl %eax, %ebx
    notl %eax
    movl %eax, 0xf0000
    movl 0xf0000, %eax
    CHECK %ebx, "ROM can't be written"
    movl 0xffff0000, %eax
    CHECK %ebx, "the firmware is seen below 1 MiB and below 4 GiB"
    OUTPORT $0x5a, 0x80                 /* ports without a device */
    movw $0x5678, %dx
    inl %dx, %eax
    CHECK $-1, "a port without a device reads as ones"
    ret

/* ---- timers ---- */

pit:
    OUTPORT $0x34, 0x43                 /* channel 0, mode 2, 1000 Hz */
    OUTPORT $0xa9, 0x40
    OUTPORT $0x04, 0x40
    xorl %ecx, %ecx
    call irq_unmask
    movl $20, %ebx
    call irq_wait
    TAP "PIT: 20 interrupts at 1000 Hz"
    movl $5, %ebx
    addl irq_count, %ebx
    call irq_halt
    TAP "PIT: hlt ends with each"
    OUTPORT $0xe2, 0x43                 /* read-back: status of channel 0 */
    inb $0x40, %al
    andl $0x3f, %eax
    CHECK $0x34, "PIT: read-back of the mode"
    OUTPORT $0x30, 0x43                 /* stop: mode 0 without a count */
    movb $0xfb, %al
    outb %al, $0x21
    inb $0x61, %al                      /* channel 2: gate on, a short count in mode 0, its output rises */
    andb $0xfc, %al
    orb $1, %al
    outb %al, $0x61
    OUTPORT $0xb0, 0x43
    OUTPORT $0x00, 0x42
    OUTPORT $0x08, 0x42
    movl $2000000, %ecx
2:  inb $0x61, %al
    testb $0x20, %al
    jnz 3f
    loop 2b
3:  andl $0x20, %eax
    CHECK $0x20, "PIT: channel 2's output in port 0x61"
    ret

cmos_read:                              /* al: index; eax: value */
    outb %al, $0x70
    inb $0x71, %al
    movzbl %al, %eax
    ret

rtc:
    movb $0x0d, %al
    call cmos_read
    andl $0x80, %eax
    CHECK $0x80, "RTC: the battery is good"
    movb $0x0c, %al
    call cmos_read
    movb $0x0a, %al                     /* 1024 Hz */
    outb %al, $0x70
    movb $0x26, %al
    outb %al, $0x71
    movb $0x0b, %al
    outb %al, $0x70
    movb $0x42, %al                     /* periodic interrupts, 24 hours, BCD */
    outb %al, $0x71
    movl $8, %ecx
    call irq_unmask
    movl $RTC_TURNS, %ebx
    call irq_wait
    TAP "RTC: 20 periodic interrupts"
    movb $0x0b, %al
    outb %al, $0x70
    movb $0x02, %al
    outb %al, $0x71
    movb $0x02, %al                     /* minutes: BCD, below 60 */
    call cmos_read
    movl %eax, %ebx
    andl $0x0f, %ebx
    cmpl $10, %ebx
    jae 1f
    cmpl $0x60, %eax
    jae 1f
    xorl %eax, %eax
1:  TAP "RTC: minutes are a BCD number"
    movb $0x34, %al
    call cmos_read
    movl %eax, %ebx
    movb $0x35, %al
    call cmos_read
    shll $8, %eax
    orl %ebx, %eax
    CHECK $(48 * 16), "CMOS: 64 MiB of memory"
    movb $0x50, %al
    outb %al, $0x70
    movb $0xa5, %al
    outb %al, $0x71
    movb $0x50, %al
    call cmos_read
    CHECK $0xa5, "CMOS: a byte keeps its value"
    ret

/* ---- keyboard controller, fw_cfg, PCI ---- */

keyboard:
    OUTPORT $0xaa, 0x64
    movl $100000, %ecx
1:  inb $0x64, %al
    testb $1, %al
    loopz 1b
    inb $0x60, %al
    movzbl %al, %eax
    CHECK $0x55, "i8042: self-test"
    OUTPORT $0x20, 0x64
    inb $0x60, %al
    inb $0x64, %al
    andl $1, %eax
    CHECK $0, "i8042: no more bytes than were asked for"
    OUTPORT $0xd0, 0x64
    inb $0x60, %al
    andl $1, %eax
    CHECK $1, "i8042: the output port doesn't reset"
    ret

firmware_config:
    xorl %eax, %eax
    movl $scratch, %edi
    movl $4, %ecx
    call fw_read
    movl scratch, %eax
    CHECK $0x554d4551, "fw_cfg: signature"
    movl $1, %eax
    movl $scratch, %edi
    movl $4, %ecx
    call fw_read
    movl scratch, %eax
    andl $3, %eax
    CHECK $3, "fw_cfg: traditional and DMA interface"
    movl $fw_dma, %eax                  /* a DMA read of the signature */
    movl $0x0a000000, scratch           /* select and read, selector 0 */
    bswapl %eax
    movl $0x0a000000, fw_dma
    movl $0x04000000, fw_dma + 4
    movl $0, fw_dma + 8
    movl $scratch, %ebx
    bswapl %ebx
    movl %ebx, fw_dma + 12
    movl $0x0a000000, fw_dma
    movl %eax, %ebx
    xorl %eax, %eax
    movw $0x514, %dx
    outl %eax, %dx
    movl %ebx, %eax
    movw $0x518, %dx
    outl %eax, %dx
    movl fw_dma, %eax
    CHECK $0, "fw_cfg: a DMA read ends without error"
    movl scratch, %eax
    CHECK $0x554d4551, "fw_cfg: and has read the signature"
    movl $5, %eax                       /* how many CPUs */
    movl $scratch, %edi
    movl $2, %ecx
    call fw_read
    movzwl scratch, %eax
    cmpl $1, %eax
    setb %al
    testb %al, %al
    TAP "fw_cfg: number of CPUs"
    ret

pci_read:                               /* eax: address */
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    ret

pci:
    movl $0x80000000, %eax
    call pci_read
    CHECK $0x12378086, "PCI 00.0: 440FX"
    movl $0x80000800, %eax
    call pci_read
    CHECK $0x70008086, "PCI 01.0: PIIX3"
    movl $0x80000900, %eax
    call pci_read
    CHECK $0x70108086, "PCI 01.1: PIIX3 IDE"
    movl $0x80000b00, %eax
    call pci_read
    CHECK $0x71138086, "PCI 01.3: PIIX4 PM"
    movl $0x8000f800, %eax
    call pci_read
    CHECK $-1, "PCI 1f.0: nothing"
    movl $0x80000b40, %eax              /* PM base 0xb000, decoding on */
    movl $0xb000, %ebx
    call pci_write
    movl $0x80000b80, %eax
    movl $1, %ebx
    call pci_write
    movw $0xb008, %dx
    inl %dx, %eax
    movl %eax, %ebx
    movl $2000, %ecx
1:  inl %dx, %eax
    cmpl %ebx, %eax
    jne 2f
    loop 1b
2:  cmpl %ebx, %eax
    sete %al
    testb %al, %al
    TAP "PM timer: it counts"
    ret

/* ---- serial line ---- */

serial:
    OUTPORT $0x10, COM1 + 4             /* loopback */
    OUTPORT $0x01, COM1 + 2             /* FIFOs on */
    OUTPORT $0xc3, COM1
    movl $100000, %ecx
1:  INPORT COM1 + 5
    testb $1, %al
    loopz 1b
    INPORT COM1
    movl %eax, %ebx
    OUTPORT $0x0b, COM1 + 4
    movzbl %bl, %eax
    CHECK $0xc3, "16550: loopback"
    INPORT COM1 + 2
    andl $0xc0, %eax
    CHECK $0xc0, "16550: FIFOs"
    movl $4, %ecx
    call irq_unmask
    OUTPORT $2, COM1 + 1                /* transmitter empty */
    movl $4, %ecx
    movl $1, %ebx
    call irq_wait
    pushfl
    OUTPORT $0, COM1 + 1
    INPORT COM1 + 2
    popfl
    TAP "16550: interrupt of the empty transmitter"
    ret

echo:
    PUTS "# echo\n"
1:  INPORT COM1 + 5
    testb $1, %al
    jz 1b
    INPORT COM1
    cmpb $'.', %al
    je 2f
    call putc
    jmp 1b
2:  PUTS "\n"
    ret

/* ---- IDE ---- */

ide_identify:
    movl $14, %ecx
    call irq_unmask
    movl irq_count + 4 * 14, %ebx
    pushl %ebx
    movb $0xec, %ah
    xorl %ebx, %ebx
    movl $1, %ecx
    call ide_command
    popl %ebx
    incl %ebx
    movl $14, %ecx
    call irq_wait
    TAP "IDE: IDENTIFY interrupts"
    call ide_ready
    andl $0x89, %eax
    CHECK $0x08, "IDE: IDENTIFY has data"
    movl $buffer, %edi
    movl $256, %ecx
    movw $0x1f0, %dx
    rep insw
    movzwl buffer + 2 * 49, %eax
    andl $0x0300, %eax
    CHECK $0x0300, "IDE: the disk does LBA and DMA"
    call ide_ready
    andl $0x89, %eax
    CHECK $0, "IDE: no more data"
    ret

ide_pio:
    OUTPORT $2, 0x3f6                   /* no interrupts: the PIC would keep them until somebody waits */
    movl $buffer, %edi
    movl $4 * 512, %ecx
    movl $11, %ebx
    call pattern_fill
    movb $0x30, %ah                     /* WRITE SECTORS: LBA 8, 4 sectors */
    movl $8, %ebx
    movl $4, %ecx
    call ide_command
    movl $buffer, %esi
    movl $4, %ecx
1:  call ide_ready
    pushl %ecx
    movl $256, %ecx
    movw $0x1f0, %dx
    rep outsw
    popl %ecx
    loop 1b
    call ide_ready
    andl $0xe9, %eax
    CHECK $0x40, "IDE: PIO write of 4 sectors"
    movb $0xe7, %ah                     /* FLUSH CACHE */
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    call ide_command
    call ide_ready
    andl $0xe9, %eax
    CHECK $0x40, "IDE: flush"
    call buffer_clear
    movb $0x20, %ah
    movl $8, %ebx
    movl $4, %ecx
    call ide_command
    movl $buffer, %edi
    movl $4, %ecx
2:  call ide_ready
    pushl %ecx
    movl $256, %ecx
    movw $0x1f0, %dx
    rep insw
    popl %ecx
    loop 2b
    movl $buffer, %edi
    movl $4 * 512, %ecx
    movl $11, %ebx
    call pattern_compare
    TAP "IDE: PIO read gives what was written"
    movb $0x20, %ah                     /* a sector far behind the end */
    movl $0x0fffffff, %ebx
    movl $1, %ecx
    call ide_command
    call ide_ready
    andl $1, %eax
    CHECK $1, "IDE: an error behind the disk's end"
    OUTPORT $0, 0x3f6
    ret

buffer_clear:
    pushal
    movl $buffer, %edi
    movl $0x4000, %ecx
    xorl %eax, %eax
    rep stosl
    popal
    ret

/* One bus-master command over three regions that don't follow each other. bl: 8 to read, 0 to write; ah: command */
ide_transfer:
    pushl %ebx
    pushl %eax
    movl $prd, %edi
    movl $buffer + 0x0000, (%edi)
    movl $0x0400, 4(%edi)
    movl $buffer + 0x2200, 8(%edi)
    movl $0x2600, 12(%edi)
    movl $buffer + 0x8000, 16(%edi)
    movl $0x80001600, 20(%edi)
    movl $prd, %eax
    movw $BMDMA + 4, %dx
    outl %eax, %dx
    OUTPORT $6, BMDMA + 2               /* clear interrupt and error */
    movl irq_count + 4 * 14, %ecx
    incl %ecx
    popl %eax
    pushl %ecx
    movl $64, %ebx                      /* LBA 64, 32 sectors */
    movl $32, %ecx
    call ide_command
    popl %ecx
    popl %eax
    orb $1, %al
    movw $BMDMA, %dx
    outb %al, %dx
    movl %ecx, %ebx
    movl $14, %ecx
    call irq_wait
    pushfl
    INPORT BMDMA + 2
    movb %al, %bl
    OUTPORT $0, BMDMA
    popfl
    ret

ide_dma:
    movl $IDE_CONFIG + 0x20, %eax
    movl $BMDMA, %ebx
    call pci_write
    movl $IDE_CONFIG + 4, %eax          /* I/O and bus master */
    movl $5, %ebx
    call pci_write
    movl $IDE_CONFIG + 0x40, %eax       /* both channels decode */
    movl $0x80008000, %ebx
    call pci_write
    call buffer_clear
    movl $buffer, %edi
    movl $0x400, %ecx
    movl $21, %ebx
    call pattern_fill
    movl $buffer + 0x2200, %edi
    movl $0x2600, %ecx
    movl $22, %ebx
    call pattern_fill
    movl $buffer + 0x8000, %edi
    movl $0x1600, %ecx
    movl $23, %ebx
    call pattern_fill
    xorl %ebx, %ebx
    movb $0xca, %ah                     /* WRITE DMA */
    call ide_transfer
    TAP "IDE: DMA write interrupts"
    movzbl %bl, %eax
    andl $7, %eax
    CHECK $4, "IDE: the bus master is done, without error"
    call buffer_clear
    movl $8, %ebx
    movb $0xc8, %ah                     /* READ DMA */
    call ide_transfer
    TAP "IDE: DMA read interrupts"
    movl $buffer, %edi
    movl $0x400, %ecx
    movl $21, %ebx
    call pattern_compare
    TAP "IDE: DMA read, first region"
    movl $buffer + 0x2200, %edi
    movl $0x2600, %ecx
    movl $22, %ebx
    call pattern_compare
    TAP "IDE: DMA read, second region"
    movl $buffer + 0x8000, %edi
    movl $0x1600, %ecx
    movl $23, %ebx
    call pattern_compare
    TAP "IDE: DMA read, third region"
    movl buffer + 0x400, %eax
    CHECK $0, "IDE: and nothing behind a region"
    ret

    .bss
    .balign 16
prd: .space 32
fw_dma: .space 16
scratch: .space 512
buffer = 0x200000                       /* 64 KiB in RAM */
