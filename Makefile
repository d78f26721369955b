# Run in the source folder: sets up build/ and goes on there (rules.mk has the rules).
.NOTPARALLEL:
.DEFAULT_GOAL := all

build/config.mak: configure VERSION
	@mkdir -p build && cd build && ../configure $(CONFIGURE)

deps:
	@scripts/deps

%: build/config.mak FORCE
	@+$(MAKE) --no-print-directory -C build $@

all: build/config.mak
	@+$(MAKE) --no-print-directory -C build all

Makefile configure VERSION rules.mk: ;
.PHONY: all deps FORCE
