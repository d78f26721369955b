# The rules, used from a build folder.  Sources are found, not listed: a new file in a folder
# below is built into libvmemu.a; tests/unit/NAME.c becomes the test program tests/unit/NAME.
DIRS := util block chardev net ui accel accel/kvm accel/qtest hw/core target/i386 hw/char hw/input hw/timer \
	hw/intc hw/isa hw/pci hw/ide hw/scsi hw/virtio hw/net hw/display hw/acpi hw/usb hw/nvram hw/block hw/dma \
	hw/misc hw/watchdog hw/i2c hw/i386 migration monitor gdbstub cli
VPATH := $(SRC)
MODULES := ui/sdl ui/vnc ui/curses ui/xkb net/slirp hw/usb/host-libusb
TOOLS := $(filter vmemu-img vmemu-io vmemu-nbd,$(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/*.c)))

LIBSRC := $(patsubst $(SRC)/%,%,$(foreach d,$(DIRS),$(wildcard $(SRC)/$(d)/*.c)))
LIBSRC := $(filter-out $(addsuffix .c,$(MODULES)) $(addsuffix -%.c,$(MODULES)),$(LIBSRC))
LIBSRC += $(patsubst $(SRC)/%,%,$(foreach d,$(DIRS),$(wildcard $(SRC)/$(d)/*.S)))
LIBOBJ := $(patsubst %.S,%.o,$(LIBSRC:.c=.o))
# What only a tool needs is linked into the tool.
IMGOBJ := $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/img/*.c))
ASL := $(patsubst $(SRC)/%,%,$(wildcard $(SRC)/hw/i386/*.asl))
UNIT := $(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/tests/unit/*.c))
DEVTESTS := $(filter-out %/qtest %/libqtest,$(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/tests/device/*.c)))
FUZZERS := $(if $(wildcard $(SRC)/vl.c),$(filter-out tests/fuzz/lib% $(if $(CONFIG_VNC),,tests/fuzz/vnc),$(patsubst $(SRC)/%.c,%,$(wildcard $(SRC)/tests/fuzz/*.c))))
FUZZLIBS := $(patsubst $(SRC)/%.c,%.o,$(filter-out %/libimages.c %/libimages-ops.c,$(wildcard $(SRC)/tests/fuzz/lib*.c)))

WARN := -Wall -Wextra -Wimplicit-fallthrough -Wvla -Wstrict-prototypes -Wno-missing-field-initializers -Wno-unused-parameter \
	-Wno-gnu-variable-sized-type-not-at-end -Wno-override-init
OPT := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
ifeq ($(DEBUG),yes)
OPT := -O0 -g3
endif
ifeq ($(ASAN),yes)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(FUZZ),yes)
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined -DLIBFUZZER
endif
ifeq ($(TSAN),yes)
OPT := -O1 -g -fsanitize=thread
endif
ifeq ($(WERROR),yes)
WARN += -Werror
endif
ALL_CFLAGS = -std=gnu11 $(OPT) $(WARN) -fPIE -fvisibility=default -pthread -D_GNU_SOURCE -I. -I$(SRC) -include config.h \
	$(GLIB_CFLAGS) $(JSON_CFLAGS) $(PIXMAN_CFLAGS) $(PNG_CFLAGS) $(SECCOMP_CFLAGS) $(CFLAGS)
LDALL = $(OPT) -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(PACK_RELOCS) $(LDFLAGS)
LIBS = $(GLIB_LIBS) $(JSON_LIBS) $(PIXMAN_LIBS) $(Z_LIBS) $(PNG_LIBS) $(SECCOMP_LIBS) -laio -lm
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

PROGS := $(if $(wildcard $(SRC)/vl.c),vmemu) $(TOOLS)
MODSO := $(if $(CONFIG_SDL),$(if $(wildcard $(SRC)/ui/sdl.c),vmemu-ui-sdl.so)) \
	$(if $(CONFIG_VNC),$(if $(wildcard $(SRC)/ui/vnc.c),vmemu-ui-vnc.so)) \
	$(if $(CONFIG_CURSES),vmemu-ui-curses.so) $(if $(CONFIG_XKB),vmemu-ui-xkb.so) \
	$(if $(CONFIG_SLIRP),$(if $(wildcard $(SRC)/net/slirp.c),vmemu-net-slirp.so)) \
	$(if $(CONFIG_LIBUSB),$(if $(wildcard $(SRC)/hw/usb/host-libusb.c),vmemu-usb-host.so))

all: $(PROGS) $(MODSO)
tests: $(UNIT) $(DEVTESTS) $(FUZZERS) guests

%.o: %.c config.mak
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS_$(basename $(<F))) -MMD -MP -c $< -o $@

%.o: %.S config.mak
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)$(CC) -MMD -MP -c $< -o $@

libvmemu.a: $(LIBOBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# ACPI source: NAME.asl becomes NAME.aml.h, an array of bytes called aml_NAME.
hw/i386/%.aml.h: hw/i386/%.asl
	@mkdir -p $(@D)
	$(call say,IASL,$<)
	$(Q)$(IASL) -vs -p hw/i386/$* $< > hw/i386/$*.log 2>&1 || { cat hw/i386/$*.log; exit 1; }
	$(Q)xxd -i < hw/i386/$*.aml | (echo "static const unsigned char aml_$(subst -,_,$*)[] = {"; cat; echo "};") > $@
$(filter hw/i386/%.o,$(LIBOBJ)): $(ASL:.asl=.aml.h)

vmemu: vl.o libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) -rdynamic -o $@ vl.o -Wl,--whole-archive libvmemu.a -Wl,--no-whole-archive $(LIBS)
vmemu-img: $(IMGOBJ)
$(TOOLS): %: %.o libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) -o $@ $< $(filter img/%.o,$^) libvmemu.a $(LIBS)

vmemu-ui-%.so: ui/%.c $(wildcard $(SRC)/ui/*.h) config.mak
	$(call say,MODULE,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(SDL_CFLAGS) $(VNC_CFLAGS) $(CURSES_CFLAGS) $(XKB_CFLAGS) -fPIC -shared -o $@ $< $(filter-out $<,$(wildcard $(SRC)/ui/$*-*.c)) $(if $(filter sdl,$*),$(SDL_LIBS)) $(if $(filter vnc,$*),$(VNC_LIBS)) $(if $(filter curses,$*),$(CURSES_LIBS)) $(if $(filter xkb,$*),$(XKB_LIBS))
vmemu-ui-sdl.so: $(wildcard $(SRC)/ui/sdl-*.c)
vmemu-ui-vnc.so: $(wildcard $(SRC)/ui/vnc-*.c)
vmemu-ui-curses.so: $(wildcard $(SRC)/ui/curses-*.c)
vmemu-net-%.so: net/%.c $(wildcard $(SRC)/net/*.h) config.mak
	$(call say,MODULE,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(SLIRP_CFLAGS) -fPIC -shared -o $@ $< $(SLIRP_LIBS)
vmemu-usb-%.so: hw/usb/%-libusb.c $(wildcard $(SRC)/hw/usb/*.h) config.mak
	$(call say,MODULE,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LIBUSB_CFLAGS) -fPIC -shared -o $@ $< $(LIBUSB_LIBS)

$(UNIT): %: %.o libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) -rdynamic -o $@ $< libvmemu.a $(LIBS) $(CHECK_LIBS)
tests/device/libqtest.o: tests/device/libqtest.c
$(DEVTESTS): %: %.o tests/device/libqtest.o libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) -o $@ $< tests/device/libqtest.o libvmemu.a $(LIBS)
# The block drivers' harnesses; with libFuzzer's main, or with their own.
IMAGEFUZZ := $(filter tests/fuzz/images-%,$(FUZZERS))
IMAGELIB := $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/tests/fuzz/libimages*.c))
$(IMAGEFUZZ): %: %.o $(IMAGELIB) libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) $(if $(filter yes,$(FUZZ)),-fsanitize=fuzzer) -rdynamic -o $@ $< $(IMAGELIB) libvmemu.a $(LIBS)
$(filter-out $(IMAGEFUZZ),$(FUZZERS)): %: %.o $(FUZZLIBS) libvmemu.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDALL) -rdynamic -o $@ $< $(FUZZLIBS) $(filter ui/%,$^) libvmemu.a $(LIBS) $(if $(filter ui/vnc%,$^),$(VNC_LIBS))
# The module's code, within the program.
tests/fuzz/vnc: $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/ui/vnc*.c))

# Guests for the tests: NAME.S, with NAME.c where there is one, becomes tests/guest/NAME.bin, a flat image (see tests/guest/README).
GUEST_CFLAGS := -m32 -march=i386 -Os -std=gnu11 -Wall -Wextra -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables
GUESTS := $(patsubst $(SRC)/%.S,%.bin,$(wildcard $(SRC)/tests/guest/*.S))
guests: $(GUESTS)
tests/guest/%.bin: tests/guest/%.S $(wildcard $(SRC)/tests/guest/*.c) $(wildcard $(SRC)/tests/guest/*.inc) $(wildcard $(SRC)/tests/guest/*.ld)
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(Q)gcc -m32 -c -I$(SRC)/tests/guest -x assembler-with-cpp $< -o $(@:.bin=.o)
	$(Q)! [ -e $(<:.S=.c) ] || gcc $(GUEST_CFLAGS) -c $(<:.S=.c) -o $(@:.bin=-c.o)
	$(Q)ld -m elf_i386 --no-warn-rwx-segments -T $(SRC)/tests/guest/$(shell grep -qs 'LINK: boot' $< && echo boot.ld || echo bios.ld) $(@:.bin=.o) $$([ ! -e $(<:.S=.c) ] || echo $(@:.bin=-c.o)) -o $(@:.bin=.elf)
	$(Q)objcopy -O binary $(@:.bin=.elf) $@

check: all tests
	@$(SRC)/tests/run --src $(SRC) --build . $(T)
# The block drivers' harnesses with libFuzzer, in fuzz/, a build of their own by clang: tests/fuzz/run-images runs them.
fuzz: all
	@mkdir -p fuzz && cd fuzz && $(SRC)/configure --enable-fuzz CC=clang
	@+$(MAKE) --no-print-directory -C fuzz harnesses
harnesses: $(IMAGEFUZZ)
bench: all guests
	@$(SRC)/tests/bench/run --build .
run: all
	@$(SRC)/scripts/run-demo ./vmemu

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/vmemu $(DESTDIR)$(PREFIX)/share/man/man1
	install $(PROGS) $(DESTDIR)$(PREFIX)/bin
	$(if $(strip $(MODSO)),install $(MODSO) $(DESTDIR)$(PREFIX)/lib/vmemu)
	install -m 644 $(wildcard $(SRC)/docs/*.1) $(DESTDIR)$(PREFIX)/share/man/man1

clean:
	rm -rf $(DIRS) img tests fuzz libvmemu.a $(PROGS) *.so *.o *.d

config.mak: $(SRC)/configure $(SRC)/VERSION
	@./config.status

.PHONY: all tests check fuzz harnesses bench run install clean guests
.SECONDARY:
-include $(LIBOBJ:.o=.d) $(IMGOBJ:.o=.d) vl.d $(addsuffix .d,$(TOOLS) $(UNIT) $(DEVTESTS) $(FUZZERS) tests/device/libqtest) $(FUZZLIBS:.o=.d) $(IMAGELIB:.o=.d)
