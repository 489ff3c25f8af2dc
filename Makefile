# SPDX-License-Identifier: BSD-2-Clause
# One Makefile for everything; all that is built goes under build/.
#
#   make help       what there is to make
#   make V=1        show the commands
#   make SAN=1      build into build/san with AddressSanitizer and UBSan
#   make TSAN=1     build into build/tsan with ThreadSanitizer

VERSION := 0.1.0
SOVERSION := 0
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
AR ?= ar
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60

B := build$(if $(SAN),/san)$(if $(TSAN),/tsan)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' '$(1)' '$(2)';)

# --- what is built from what ---------------------------------------------------------
LIB_SRC := $(sort $(wildcard user/base/*.c user/net/*.c user/rt/*.c user/io/*.c user/transport/*.c loader/*.c loader/policy/*.c))
APP_SRC := $(sort $(wildcard user/apps/*.c user/apps/bench/*.c))
CLI_SRC := $(sort $(wildcard user/cli/*.c))
BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
BPF_AUX := $(sort $(wildcard tests/bpf/*.bpf.c bench/*.bpf.c))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c))
RUN_SRC := $(sort $(filter-out %.bpf.c,$(wildcard tests/bpf/*.c)))
IO_SRC := $(sort $(wildcard tests/io/*.c))
SUITE_SRC := $(sort $(wildcard tests/io/suite/*.c))
TRANSPORT_SRC := $(sort $(wildcard tests/transport/suite/*.c))
# What is loaded before a program is made by the test that does so (tests/net/test_steer.py).
NET_SRC := $(filter-out tests/net/nic.c,$(sort $(wildcard tests/net/*.c)))
BENCH_SRC := $(sort $(filter-out %.bpf.c,$(wildcard bench/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*.c))
MODEL_SRC := $(sort $(wildcard tests/model/*.c))

skel = $(addprefix build/skel/,$(addsuffix .skel.h,$(basename $(basename $(notdir $(1))))))
SKEL := $(call skel,$(BPF_SRC))
AUX_SKEL := $(call skel,$(BPF_AUX))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/obj/%.o)
APP_OBJ := $(APP_SRC:%.c=$(B)/obj/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/obj/%.o)
MODEL_OBJ := $(MODEL_SRC:%.c=$(B)/obj/%.o)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/unit/%)
RUN_BIN := $(RUN_SRC:tests/bpf/%.c=$(B)/tests/bpf/%)
IO_BIN := $(IO_SRC:tests/io/%.c=$(B)/tests/io/%)
SUITE_OBJ := $(SUITE_SRC:%.c=$(B)/obj/%.o)
TRANSPORT_BIN := $(B)/tests/transport/conformance
TRANSPORT_OBJ := $(TRANSPORT_SRC:%.c=$(B)/obj/%.o)
DPDK_SRC := $(sort $(wildcard user/io/dpdk/*.c))
RDMA_SRC := $(sort $(wildcard user/transport/rdma/*.c))
SHIP_SRC := $(sort $(wildcard user/transport/rdma/ring/*.c))
PLUGIN_SRC := $(DPDK_SRC) $(RDMA_SRC) $(SHIP_SRC)
NET_BIN := $(NET_SRC:tests/net/%.c=$(B)/tests/net/%)
BENCH_BIN := $(BENCH_SRC:bench/%.c=$(B)/bench/%)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)

# --- flags -----------------------------------------------------------------------------
# libkqueue where there is one (Debian 11 had it): then kqueue:// is real on Linux, too.
PKGS := libbpf libxdp libcjson libpcap libxxhash liburing libsodium \
	$(shell pkg-config --exists libkqueue 2>/dev/null && echo libkqueue)
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -Wundef -Wwrite-strings -Wno-missing-field-initializers
SANFLAGS := $(if $(SAN),-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all) \
	$(if $(TSAN),-fsanitize=thread)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SANFLAGS) -fPIC -fvisibility=hidden \
	-fno-omit-frame-pointer -D_GNU_SOURCE -DSHUNT_VERSION='"$(VERSION)"' \
	-iquote . -iquote build/skel $(PKG_CFLAGS)
ALL_LDFLAGS = $(SANFLAGS) $(LDFLAGS) -Wl,--as-needed
LIBS = $(PKG_LIBS) -lelf -lz
# Looked up once, and only by targets that compile.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

# clang's own search path, for <bpf/…> and <linux/types.h> on any Debian architecture.
BPF_SYS = $(eval BPF_SYS := $(shell $(CLANG) -v -E - </dev/null 2>&1 | \
	sed -n '/<...> search starts here:/,/End of search list/ s|^ \(/.*\)|-idirafter \1|p'))$(BPF_SYS)
BPF_CFLAGS = -target bpf -D__bpf__ -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Werror \
	-Wno-missing-field-initializers -Wno-unused-function -fno-stack-protector \
	-iquote . $(BPF_SYS)

# --- the usual --------------------------------------------------------------------------
.PHONY: vm-kernels test-vm kmod plugins san-tests tsan-tests all help deps install clean lint format test test-mutants test-faults demo bench budget fuzz tests aux
.DELETE_ON_ERROR:
.SECONDARY:

all: $(B)/shunt $(B)/libshunt.a $(B)/libshunt.so $(B)/shunt.pc plugins ## build the command and the libraries

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | \
		while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

deps: ## install the Debian packages that are missing (Debian 12 and 13; as root)
	$(Q)tests/deps.sh

# --- kernel side ------------------------------------------------------------------------
build/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

build/aux/%.bpf.o: tests/bpf/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

build/aux/%.bpf.o: bench/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

# The XDP program without the generation word, beside which bench/word.c sets it.
build/aux/fixed/bpf/lib/datapath.h: bpf/lib/datapath.h bench/fixed.sed
	@mkdir -p $(@D)
	$(call say,SED,$@)sed -f bench/fixed.sed $< >$@ && \
		grep -q 'generation = bench_generation;' $@ && ! grep -q '(gen[,)]' $@
build/aux/fixed.bpf.o: build/aux/fixed/bpf/lib/datapath.h
build/aux/fixed.bpf.o: private CLANG := $(CLANG) -iquote build/aux/fixed

build/skel/%.skel.h: build/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

build/skel/%.skel.h: build/aux/%.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# --- user space -------------------------------------------------------------------------
$(B)/obj/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/libshunt.a: $(LIB_OBJ)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(B)/libshunt.so: $(LIB_OBJ)
	$(call say,LD,$@)$(CC) -shared -Wl,-soname,libshunt.so.$(SOVERSION) -Wl,-z,defs \
		$(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(B)/shunt: $(CLI_OBJ) $(APP_OBJ) $(B)/libshunt.a
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(B)/shunt.pc: Makefile
	@mkdir -p $(@D)
	$(call say,GEN,$@)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' \
		'includedir=$${prefix}/include' '' 'Name: shunt' \
		'Description: programmable dataplane toolkit on eBPF and XDP' \
		'Version: $(VERSION)' 'Requires: libcjson' \
		'Requires.private: $(filter-out libcjson,$(PKGS))' \
		'Libs: -L$${libdir} -lshunt' 'Libs.private: -lelf -lz' \
		'Cflags: -I$${includedir}' >$@

# --- plug-ins: what of Shunt they use is linked into them (user/io/plugin.h) --------------
DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo $(B)/plugins/dpdk.so)
DPDK_CFLAGS = $(eval DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(shell \
	pkg-config --cflags libdpdk)))$(DPDK_CFLAGS)

RDMA := $(shell pkg-config --exists librdmacm libibverbs 2>/dev/null && \
	echo $(B)/plugins/rdma.so $(B)/plugins/ship.so)

plugins: $(DPDK) $(RDMA)
	$(if $(DPDK),,@echo '  dpdk: not built: libdpdk-dev is missing')
	$(if $(RDMA),,@echo '  rdma, ship: not built: librdmacm-dev or libibverbs-dev is missing')

$(DPDK_SRC:%.c=$(B)/obj/%.o): private ALL_CFLAGS += $(DPDK_CFLAGS)

$(B)/plugins/ship.so: $(SHIP_SRC:%.c=$(B)/obj/%.o) $(B)/obj/user/transport/rdma/device.o \
		$(B)/libshunt.a
$(B)/plugins/rdma.so: $(RDMA_SRC:%.c=$(B)/obj/%.o) $(B)/libshunt.a
$(B)/plugins/ship.so $(B)/plugins/rdma.so:
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -shared -Wl,-z,defs $(ALL_LDFLAGS) $^ \
		$(shell pkg-config --libs librdmacm libibverbs) $(LIBS) -o $@

$(B)/plugins/dpdk.so: $(DPDK_SRC:%.c=$(B)/obj/%.o) $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -shared -Wl,-z,defs $(ALL_LDFLAGS) $^ \
		$(shell pkg-config --libs libdpdk) $(LIBS) -o $@

# --- tests and benchmarks ----------------------------------------------------------------
# Objects first: what a test brings along takes the place of the library's own.
objects_first = $(filter %.o,$^) $(filter-out %.o,$^)

$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(MODEL_OBJ) $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $(objects_first) -lcmocka $(LIBS) -o $@

$(B)/tests/bpf/%: $(B)/obj/tests/bpf/%.o $(MODEL_OBJ) $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $^ -lcmocka $(LIBS) -o $@

# Ports, each by the same tests (tests/io/suite).
$(B)/tests/io/%: $(B)/obj/tests/io/%.o $(SUITE_OBJ) $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $^ -lcmocka $(LIBS) -o $@

# Transports, each by the same tests (tests/transport/suite).
$(TRANSPORT_BIN): $(B)/obj/tests/transport/conformance.o $(TRANSPORT_OBJ) \
		$(B)/tests/kqueue/kqueue.o $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $^ -lcmocka $(LIBS) -o $@

# What the namespace tests drive by hand.
$(B)/tests/net/%: $(B)/obj/tests/net/%.o $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -o $@

# Wires that are impaired on purpose; C tests link rough.o and impair.o.
$(B)/tests/net/impair: $(B)/obj/tests/transport/impair.o
$(B)/obj/tests/transport/impair.o: | $(AUX_SKEL)

# kqueue:// with a kqueue made of epoll, for tests where the system has none: an object that
# takes the place of the library's own.
KQUEUE_OBJ := $(B)/obj/tests/kqueue/kqueue.o $(B)/obj/tests/kqueue/transport.o
$(KQUEUE_OBJ): private ALL_CFLAGS += -isystem tests/kqueue/include

$(B)/obj/tests/kqueue/transport.o: user/transport/kqueue.c
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/tests/kqueue/kqueue.o: $(KQUEUE_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -r -nostdlib $^ -o $@

$(B)/tests/unit/sockets $(B)/tests/unit/datagrams: $(B)/tests/kqueue/kqueue.o

# This one makes allocations and system calls of the library fail, by their number.
FAILING := malloc calloc realloc mmap bpf_map_create bpf_map_update_elem \
	bpf_map_delete_elem bpf_map_update_batch
$(B)/tests/bpf/sets: private ALL_LDFLAGS += $(FAILING:%=-Wl,--wrap=%)
# And this one looks in where the library waits.
$(B)/tests/bpf/wait: private ALL_LDFLAGS += -Wl,--wrap=bpf_map_update_batch

# Applications that are tested by themselves.
$(B)/tests/unit/bench_read: $(B)/obj/user/apps/bench/beside_read.o
$(B)/tests/unit/bench_rdma: $(B)/obj/user/apps/bench/rdma.o
$(B)/tests/unit/advise: $(addprefix $(B)/obj/user/apps/,advise.o advise_goals.o \
	advise_judge.o bench/row.o)
build/fuzz/beside: build/fuzz/obj/user/apps/bench/beside_read.o

# This one is the driver that the library asks.
$(B)/tests/unit/steer: private ALL_LDFLAGS += -Wl,--wrap=ioctl

$(B)/bench/%: $(B)/obj/bench/%.o $(MODEL_OBJ) $(APP_OBJ) $(B)/libshunt.a
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -lm -o $@

# And this one looks at the clock around the steps of an apply (bench/phases.h).
BENCH_PHASES := instance_open plan_make takeover plan_write rehearse witness_make \
	history_keep history_trim state_stage state_commit watch_start \
	plan_flip plan_tidy
$(B)/bench/apply: private ALL_LDFLAGS += $(BENCH_PHASES:%=-Wl,--wrap=shunt_%)

# Rings, pools and checksums beside DPDK's, where there is one.
$(B)/obj/bench/rt.o $(B)/obj/bench/csum.o: private ALL_CFLAGS += \
	$(if $(DPDK),-DBENCH_DPDK $(DPDK_CFLAGS))
$(B)/bench/rt: private LIBS += $(if $(DPDK),-lrte_eal -lrte_ring -lrte_mempool -lrte_mbuf)

# The record of the verifier's opinions is by compiler.
$(B)/obj/tests/bpf/budget.o: CFLAGS += -DSHUNT_CLANG='"$(shell $(CLANG) -dumpversion | cut -d . -f 1)"'
$(B)/obj/tests/bpf/budget.o: $(SKEL)

$(BENCH_SRC:%.c=$(B)/obj/%.o) $(RUN_SRC:%.c=$(B)/obj/%.o): | $(AUX_SKEL)

# libFuzzer wants clang; the library's sources are compiled again, instrumented.
build/fuzz/obj/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)$(CLANG) $(filter-out -Wno-missing-field-initializers,$(ALL_CFLAGS)) \
		-Wno-missing-field-initializers -Wno-missing-prototypes -O1 \
		-fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -MMD -MP -c $< -o $@

build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o $(LIB_SRC:%.c=build/fuzz/obj/%.o) $(MODEL_SRC:%.c=build/fuzz/obj/%.o)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CLANG) -fsanitize=fuzzer,address,undefined $^ $(LIBS) -o $@

san-tests: $(UNIT_BIN) $(IO_BIN) $(TRANSPORT_BIN) plugins

# What has threads; about the rest ThreadSanitizer has nothing to say.
THREADED := credit mesh metric mpsc pool spsc steal transport_task worker
tsan-tests: ## run the tests that have threads, under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory TSAN=1 $(THREADED:%=build/tsan/tests/unit/%) \
		$(IO_SRC:tests/io/%.c=build/tsan/tests/io/%) plugins
	$(Q)TSAN=1 tests/run unit io

tests: all $(UNIT_BIN) $(RUN_BIN) $(NET_BIN) $(IO_BIN) $(TRANSPORT_BIN) $(FUZZ_BIN) $(BENCH_BIN) ## build tests and benchmarks without running them

test: deps ## run all the tests (as root; under 15 minutes)
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/run

test-mutants: deps ## break each promise on purpose: a test must notice (as root; takes long)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/mutants/run
# FAULTS=2 tries every second place, from a random one on; all of them take about 45 minutes.
FAULTS ?= all
test-faults: deps ## kill or fail each command at each system call (as root; 45 minutes)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)SHUNT_FAULTS=$(FAULTS) /usr/bin/python3 -m pytest -q tests/net -k "test_faults or killed or kill or moment"

vm-kernels: ## fetch the kernels of the guests, and QEMU, from Debian packages (1 GB; SHUNT_VM=DIR)
	$(Q)tests/deps.sh vm
	$(Q)tests/vm/fetch

# Out of tree, by an unpacked kernel's headers; its sources are linked into build/, where kbuild
# leaves what it makes. BTF would take pahole, and nothing here asks for it.
VM = $(or $(SHUNT_VM),/var/tmp/vm)
KERNEL ?= $(VM)/k6.12
KMOD = build/kmod/$(notdir $(KERNEL:%/=%))
KMOD_TREE = $(firstword $(wildcard $(KERNEL)/headers/usr/src/linux-headers-*-amd64) $(KERNEL))
# What the kernel was built with, if Debian's headers say so, and what this system lacks for it.
KMOD_CC ?= $(or $(shell sed -n 's/^CC = .*(CROSS_COMPILE)//p' $(KMOD_TREE)/.kernelvariables 2>/dev/null),gcc)
KMOD_WITH = $(wildcard $(KERNEL)/tools/with)
kmod: ## build the kernel module for KERNEL, a folder of vm-kernels: build/kmod/NAME
	@mkdir -p $(KMOD)
	$(Q)ln -sf $(CURDIR)/kmod/*.c $(CURDIR)/kmod/*.h $(CURDIR)/kmod/Kbuild $(KMOD)/
	$(call say,KMOD,$(KMOD)/shunt_kmod.ko)$(KMOD_WITH) $(MAKE) --no-print-directory $(if $(V),V=1,-s) \
		-C $(KMOD_TREE) M=$(CURDIR)/$(KMOD) SHUNT_ROOT=$(CURDIR) CC=$(KMOD_CC) \
		CONFIG_DEBUG_INFO_BTF_MODULES= CONFIG_PAHOLE_VERSION= PAHOLE_VERSION= modules

# Each kernel runs all of what test runs and modules are, and one share of the tests in namespaces
# and of the transports; SHARES=1 has each run all of them, which takes hours.
SHARES ?= 3
VM_KERNELS ?= k6.1 k6.12 k7.2
SUITES ?= # of tests/vm/suite; all
test-vm: deps vm-kernels ## run suites on other kernels, in guests, and end with a table (as root; SHARES=1: all of them)
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)for kernel in $(VM_KERNELS); do \
		$(MAKE) --no-print-directory kmod KERNEL=$(VM)/$$kernel || exit 1; \
	done
	$(Q)tests/vm/selftest
	$(Q)tests/vm/matrix -j $$(($$(nproc) + 1)) -r 3 -s $(SHARES) $(VM_KERNELS:%=-k $(VM)/%) $(SUITES)

demo: deps ## the main job on real traffic, in its own network namespaces (as root)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/demo

bench: deps ## measure, as ratios against named peers (as root; run it alone)
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BIN)
	$(Q)bench/run

budget: ## note what the verifier thinks of the programs (as root): tests/bpf/budget.txt
	$(Q)$(MAKE) --no-print-directory $(B)/tests/bpf/budget
	$(Q)$(B)/tests/bpf/budget --write

fuzz: deps ## run each fuzz target for FUZZ_SECONDS (default 60)
	$(Q)$(MAKE) --no-print-directory $(FUZZ_BIN)
	$(Q)tests/fuzz/run $(FUZZ_SECONDS)

lint: ## layers, formatting, clang-tidy, shell and Python syntax
	$(Q)tests/lint

format: ## put the C sources into the house style
	$(Q)git ls-files '*.c' '*.h' | grep -v '^vmlinux/' | xargs clang-format -i

# What a program of the user's own includes, as <shunt/NAME.h>; they include each other.
PUBLIC := user/base/err.h user/rt/frame.h user/transport/transport.h \
	user/transport/conn.h user/transport/conn_pool.h loader/shunt.h

install: all ## install under DESTDIR and PREFIX (default /usr/local)
	install -D -m 755 $(B)/shunt $(DESTDIR)$(PREFIX)/bin/shunt
	install -D -m 644 $(B)/libshunt.a $(DESTDIR)$(PREFIX)/lib/libshunt.a
	install -D -m 755 $(B)/libshunt.so $(DESTDIR)$(PREFIX)/lib/libshunt.so.$(SOVERSION)
	ln -sf libshunt.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/libshunt.so
	$(if $(DPDK),install -D -m 755 $(DPDK) $(DESTDIR)$(PREFIX)/lib/shunt/dpdk.so)
	$(if $(RDMA),install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/shunt $(RDMA))
	install -D -m 644 $(B)/shunt.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/shunt.pc
	sed -i 's|^prefix=.*|prefix=$(PREFIX)|' $(DESTDIR)$(PREFIX)/lib/pkgconfig/shunt.pc
	sed 's|@BINDIR@|$(PREFIX)/bin|' user/cli/shunt@.service.in >$(B)/shunt@.service
	install -D -m 644 $(B)/shunt@.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/shunt@.service
	for header in $(PUBLIC); do \
		sed 's|#include "[a-z/]*/\([a-z_]*\.h\)"|#include "shunt/\1"|' $$header \
			>$(B)/public.h && install -D -m 644 $(B)/public.h \
			$(DESTDIR)$(PREFIX)/include/shunt/$${header##*/} || exit 1; \
	done
	mkdir -p $(DESTDIR)$(PREFIX)/share/man/man8
	$(B)/shunt man >$(DESTDIR)$(PREFIX)/share/man/man8/shunt.8
	mkdir -p $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(B)/shunt completion >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/shunt

clean: ## remove build/
	rm -rf build compile_commands.json

-include $(shell find build -name '*.d' 2>/dev/null)
