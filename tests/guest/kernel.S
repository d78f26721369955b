/*
 * A kernel for -kernel (tests/kvm/test-kernel wraps it in each format). LINK: boot; runs at any address.
 *
 * The first 512 bytes are 32-bit code: prints eax, the 22 words at ebx and, for multiboot and PVH, the memory map, to port 0xe9.
 * Behind it stands 16-bit code, Linux's set-up: prints the command line. Both end through isa-debug-exit.
 */
    .text
    .code32
start:
    mov $0x80000, %esp
    mov %eax, %ebp
    mov %eax, %ecx
    call hex
    mov %ebx, %esi
    mov $22, %edi
    call words
    cmp $0x2badb002, %ebp
    jne 1f
    mov 48(%ebx), %esi                  /* mmap_addr, mmap_length */
    mov 44(%ebx), %edi
    shr $2, %edi
    jmp 2f
1:  mov 40(%ebx), %esi                  /* memmap_paddr, memmap_entries */
    imul $6, 48(%ebx), %edi
2:  call words
    mov $0x501, %dx
    xor %eax, %eax
    out %al, %dx
3:  hlt
    jmp 3b

/* Prints edi words at esi, and a line end. */
words:
    mov (%esi), %ecx
    call hex
    add $4, %esi
    dec %edi
    jnz words
    mov $10, %al
    out %al, $0xe9
    ret

hex:
    mov $8, %ah
4:  rol $4, %ecx
    mov %cl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe 5f
    add $39, %al
5:  out %al, $0xe9
    dec %ah
    jnz 4b
    mov $32, %al
    out %al, $0xe9
    ret

    .org 512
    .code16
setup:                                  /* ds: the set-up header's segment, which has the command line's address */
    mov 0x228, %eax
    shr $4, %eax
    mov %ax, %es
    xor %si, %si
6:  mov %es:(%si), %al
    test %al, %al
    jz 7f
    out %al, $0xe9
    inc %si
    jmp 6b
7:  mov $10, %al
    out %al, $0xe9
    mov $0x501, %dx
    xor %ax, %ax
    out %al, %dx
8:  hlt
    jmp 8b
    .org 1024
