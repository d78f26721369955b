/*
 * The option ROM that starts -kernel. SeaBIOS takes it as a boot device (PnP expansion header with a boot entry vector).
 * It has fw_cfg copy the pieces of the kernel to memory by DMA, then starts it the way that `kind` says: Linux in real mode,
 * multiboot 1 and PVH in protected mode with the BIOS's memory map.
 *
 * kernel.c copies it into fw_cfg and fills in sizes, kind and checksums. Boot information of multiboot and PVH stands at
 * SETUP_ADDR; the memory map goes to MAP.
 */
#define FW_CFG 0x510
#define DMA_HIGH 0x514
#define DMA_LOW 0x518
#define STACK 0x7bf0                    /* downwards; what the BIOS says is kept above: */
#define MAP_ENTRIES 0x7bf0
#define MEM_UPPER 0x7bf4                /* KiB from 1 MiB on */
#define MEM_LOWER 0x7bf8
#define RSDP 0x7bfc
#define MAP 0xa000
#define KERNEL_ENTRY 0x10
#define CMDLINE_ADDR 0x13
#define SETUP_ADDR 0x16

    .section .rodata
    .globl kernel_rom, kernel_rom_end
    .code16
kernel_rom:
    .word 0xaa55
    .byte 0                             /* size in 512 bytes */
    lret                                /* initialisation: nothing to do */
    .org kernel_rom + 0x1a
    .word pnp - kernel_rom
kind:                                   /* 0x1c: 0 Linux, 1 multiboot, 2 PVH */
    .byte 0
    .balign 16
pnp:
    .ascii "$PnP"
    .byte 1, 2                          /* version, length / 16 */
    .word 0
    .byte 0, 0                          /* checksum at 9 */
    .long 0
    .word 0, product - kernel_rom
    .byte 0, 0, 0, 0
    .word 0, 0, start - kernel_rom, 0, 0
product:
    .asciz "kernel loader"

/* What is copied: keys of size, address, data. */
pieces:
    .byte 0x08, 0x07, 0x11              /* kernel */
    .byte 0x0b, 0x0a, 0x12              /* initrd */
    .byte 0x14, 0x13, 0x15              /* command line */
    .byte 0x17, 0x16, 0x18              /* setup, or boot information */
    .byte 0

/* eax = the 32-bit item al. Changes edx. */
item:
    movzbw %al, %ax
    mov $FW_CFG, %dx
    out %ax, %dx
    inc %dx
    mov $4, %cl
1:  in %dx, %al
    ror $8, %eax
    dec %cl
    jnz 1b
    ret

start:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ss
    mov $STACK, %esp
    mov %ax, %ds
    mov %ax, %es
    cmpb $0, %cs:kind - kernel_rom
    je pieces_begin
    call ask_bios                       /* first: a kernel may well overwrite the BIOS */
pieces_begin:
    mov $pieces - kernel_rom, %si
copy:
    mov %cs:(%si), %al
    test %al, %al
    jz copied
    call item
    mov %eax, %ebx                      /* size */
    mov %cs:1(%si), %al
    call item
    bswap %eax
    pushl %eax                          /* the command: control, length, address, all big-endian */
    pushl $0
    bswap %ebx
    pushl %ebx
    movzbl %cs:2(%si), %eax
    shl $16, %eax
    or $0x0a, %al                       /* select, read */
    bswap %eax
    pushl %eax
    xor %eax, %eax
    mov $DMA_HIGH, %dx
    out %eax, %dx
    mov %esp, %eax
    bswap %eax
    mov $DMA_LOW, %dx
    out %eax, %dx
2:  mov %esp, %ebp
    mov (%bp), %eax
    bswap %eax
    test %eax, %eax
    jz 3f
    test $1, %al
    jz 2b
fail:
    hlt
    jmp fail
3:  add $16, %sp
    add $3, %si
    jmp copy

copied:
    cmpb $0, %cs:kind - kernel_rom
    jne protected

    mov $CMDLINE_ADDR, %al              /* Linux: setup's segment for all, its stack below the command line */
    call item
    mov %eax, %ebx
    mov $SETUP_ADDR, %al
    call item
    sub %eax, %ebx
    sub $16, %ebx
    shr $4, %eax
    mov %ax, %ss
    movzwl %bx, %esp
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %fs
    mov %ax, %gs
    add $0x20, %ax
    push %ax
    push $0
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    lret

/* Memory map: entries of 24 bytes; multiboot's begin with their length. Sizes of memory; the RSDP. */
ask_bios:
    mov $MAP, %di
    xor %ebx, %ebx
    xor %ebp, %ebp
4:  movl $0, 20(%di)
    cmpb $1, %cs:kind - kernel_rom
    jne 5f
    movl $20, (%di)
    add $4, %di
5:  mov $0xe820, %eax
    mov $0x534d4150, %edx
    mov $20, %ecx
    int $0x15
    jc 6f
    inc %ebp
    add $20, %di
    cmpb $1, %cs:kind - kernel_rom
    je 7f
    add $4, %di
7:  cmp $128, %ebp
    je 6f
    test %ebx, %ebx
    jnz 4b
6:  mov %ebp, MAP_ENTRIES
    mov $0xe801, %ax
    xor %ecx, %ecx
    xor %edx, %edx
    int $0x15
    movzwl %cx, %ecx
    movzwl %dx, %edx
    shl $6, %edx
    add %edx, %ecx
    mov %ecx, MEM_UPPER
    int $0x12
    cli
    movzwl %ax, %eax
    mov %eax, MEM_LOWER
    xor %eax, %eax
    mov %eax, RSDP
    mov $0xe000, %ax                    /* SeaBIOS has it below 1 MiB, at a multiple of 16 */
8:  mov %ax, %es
    cmpl $0x20445352, %es:0
    jne 9f
    cmpl $0x20525450, %es:4
    jne 9f
    shl $4, %eax
    mov %eax, RSDP
    ret
9:  inc %ax
    jnz 8b
    ret

protected:
    mov $SETUP_ADDR, %al
    call item
    mov %eax, %esi
    cmpb $1, %cs:kind - kernel_rom
    jne pvh
    imul $24, MAP_ENTRIES, %eax
    mov %eax, 44(%si)                   /* mmap_length */
    mov MEM_UPPER, %eax
    mov %eax, 8(%si)                    /* mem_upper */
    mov MEM_LOWER, %eax
    mov %eax, 4(%si)                    /* mem_lower */
    mov $0x2badb002, %ebp
    jmp enter
pvh:
    mov MAP_ENTRIES, %eax
    mov %eax, 48(%si)                   /* memmap_entries */
    mov RSDP, %eax
    mov %eax, 32(%si)                   /* rsdp_paddr */
    xor %ebp, %ebp

/* To the entry point, with flat segments; eax = ebp, ebx = esi. */
enter:
    in $0x92, %al
    or $2, %al
    and $0xfe, %al
    out %al, $0x92
    mov $KERNEL_ENTRY, %al
    call item
    pushl $8
    pushl %eax
    xor %eax, %eax
    mov %cs, %ax
    shl $4, %eax
    add $gdt - kernel_rom, %eax
    pushl %eax
    pushw $gdt_end - gdt - 1
    mov %sp, %bx
    lgdtl (%bx)
    add $6, %sp
    mov %esi, %ebx
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %fs
    mov %ax, %gs
    mov %ax, %ss
    mov %ebp, %eax
    lretl

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff            /* code, data: all 4 GiB */
    .quad 0x00cf93000000ffff
gdt_end:
kernel_rom_end:
    .section .note.GNU-stack, "", @progbits
