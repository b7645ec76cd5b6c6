# Whet. `make help` lists what it can do.
#
#   VARIANT=release|asan|ubsan|fuzz   what is built (default release), under build/<variant>/;
#                                     any other name: a release build in a folder of its own
#   ARCH=aarch64                      cross build, under build/aarch64-<variant>/; tests run under qemu-user
#   CC=clang                          another compiler
#   WERROR=1                          warnings are errors (CI)

VARIANT ?= release
HOSTARCH := $(shell uname -m)
ARCH     ?= $(HOSTARCH)
PREFIX   ?= /usr/local
DESTDIR  ?=
VERSION  := 0.1.0

# ---- tool chain ------------------------------------------------------------------------------------
ifeq ($(origin CC),default)
  CC := gcc
endif
AR := ar
RUN :=
B := build/$(VARIANT)
PKG_CONFIG ?= pkg-config
ifneq ($(ARCH),$(HOSTARCH))
  CC  := $(ARCH)-linux-gnu-gcc
  AR  := $(ARCH)-linux-gnu-ar
  RUN := qemu-$(ARCH)
  B   := build/$(ARCH)-$(VARIANT)
  PKG_CONFIG := PKG_CONFIG_LIBDIR=/usr/lib/$(ARCH)-linux-gnu/pkgconfig:/usr/share/pkgconfig pkg-config
endif

DEPS  := libpcre2-8 jansson libzstd libcrypto
DEPS_APP := libcurl
DEPS_FIT := openblas
DEPS_TEST := cmocka

# Install what is missing before anything is compiled; silent and instant when nothing is.
ifeq ($(filter help clean,$(MAKECMDGOALS)),)
  DEPS_OK := $(shell sh tools/deps.sh $(ARCH) >&2 && echo yes)
  ifneq ($(DEPS_OK),yes)
    $(error missing packages: see above)
  endif
endif

CFLAGS_DEPS := $(shell $(PKG_CONFIG) --cflags $(DEPS) $(DEPS_APP) $(DEPS_TEST) $(DEPS_FIT))
LIBS      = $(shell $(PKG_CONFIG) --libs $(DEPS)) -lm
LIBS_APP  = $(shell $(PKG_CONFIG) --libs $(DEPS_APP))
LIBS_FIT  = $(shell $(PKG_CONFIG) --libs $(DEPS_FIT))
LIBS_TEST = $(shell $(PKG_CONFIG) --libs $(DEPS_TEST))

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
ifeq ($(WERROR),1)
  WARN += -Werror
endif
OPT := -O2 -g
ISA_OPT := -O3 # for kern/isa/
ifeq ($(VARIANT),asan)
  OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifeq ($(VARIANT),ubsan)
  OPT := -O1 -g -fsanitize=undefined -fno-sanitize-recover=undefined
endif
ifeq ($(VARIANT),fuzz)
  CC  := clang
  OPT := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
endif

ifneq ($(filter asan ubsan fuzz,$(VARIANT)),)
  ISA_OPT := $(if $(findstring gcc,$(CC)),-fexpensive-optimizations) # vzeroupper, which checkasm looks for
endif

CPPFLAGS := -Isrc -D_GNU_SOURCE -DWH_VERSION='"$(VERSION)"' $(CFLAGS_DEPS)
CFLAGS   := -std=c11 $(OPT) $(WARN) -fopenmp -ffp-contract=off -fno-math-errno -fPIC -fvisibility=default
ASFLAGS  := -g -Isrc -Iasm
LDFLAGS  := -fopenmp
DEPFLAGS  = -MMD -MP

# ---- sources: a file is built because it exists ------------------------------------------------------
LIB_DIRS := base quant gguf kern text model engine reward answer search plan journal
LIB_C    := $(foreach d,$(LIB_DIRS),$(wildcard src/$(d)/*.c))
LIB_OBJ  := $(LIB_C:%.c=$(B)/%.o)

# asm/: GAS through the C preprocessor
ifeq ($(ARCH),x86_64)
  LIB_S := $(wildcard asm/x86/*.S)
endif
ifeq ($(ARCH),aarch64)
  LIB_S := $(wildcard asm/arm/*.S)
endif
LIB_OBJ += $(LIB_S:%.S=$(B)/%.o)

# src/kern/isa/*.c: plain C compiled once per instruction set; WH_ISA is the suffix of its names.
# The operations are IEEE and in a fixed order, so every copy gives the same bits (kern/CONTRACT.md).
ISA_C := $(wildcard src/kern/isa/*.c)
ISAS  := c
ISA_FLAGS_c :=
ifeq ($(ARCH),x86_64)
  ISAS += avx2 avx512 avx512vnni
  ISA_C_avx512vnni := src/kern/isa/attn_close.c
  ISA_FLAGS_avx2   := -mavx2 -mfma -mf16c
  ISA_FLAGS_avx512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
  ISA_FLAGS_avx512vnni := $(ISA_FLAGS_avx512) -mavx512vnni
endif
LIB_OBJ += $(foreach i,$(ISAS),$(patsubst %.c,$(B)/%.$(i).o,$(or $(ISA_C_$(i)),$(ISA_C))))

# src/fit/: heads are fitted by the command alone; only it needs OpenBLAS
FIT_C   := $(wildcard src/fit/*.c)
FIT_OBJ := $(FIT_C:%.c=$(B)/%.o)

APP_C   := $(wildcard src/app/*.c) $(wildcard src/serve/*.c)
APP_OBJ := $(APP_C:%.c=$(B)/%.o)

UNIT_C  := $(wildcard tests/unit/test_*.c)
UNIT    := $(UNIT_C:tests/unit/%.c=$(B)/%)
CHECKASM_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/checkasm/*.c))
CHECKASM := $(if $(CHECKASM_OBJ),$(B)/checkasm)
FUZZ_C  := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ    := $(FUZZ_C:tests/fuzz/%.c=$(B)/%)
BENCH   := $(patsubst bench/%.c,$(B)/bench_%,$(wildcard bench/*.c))

.PHONY: all
all: $(B)/whet $(B)/libwhet.a $(B)/libwhet.so ## build the command and both libraries (default)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<
$(B)/src/app/manifest.o: models/MANIFEST
$(B)/src/app/cmd_trace.o: src/app/trace.html
$(B)/src/app/report_page.o: src/app/report.html
$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(ASFLAGS) $(DEPFLAGS) -c -o $@ $<
define ISA_RULE
$(B)/src/kern/isa/%.$(1).o: src/kern/isa/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(ISA_OPT) $$(ISA_FLAGS_$(1)) -DWH_ISA=$(1) $$(DEPFLAGS) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call ISA_RULE,$(i))))

$(B)/libwhet.a: $(LIB_OBJ)
	rm -f $@
	$(AR) rcs $@ $^
$(B)/libwhet.so: $(LIB_OBJ)
	$(CC) $(OPT) -shared -Wl,-soname,libwhet.so.0 $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/libfit.a: $(FIT_OBJ)
	rm -f $@
	$(AR) rcs $@ $^
$(B)/whet: $(APP_OBJ) $(B)/libfit.a $(B)/libwhet.a
	$(CC) $(OPT) $(LDFLAGS) -o $@ $^ $(LIBS) $(LIBS_APP) $(LIBS_FIT)
$(UNIT): $(B)/test_%: $(B)/tests/unit/test_%.o $(B)/libwhet.a
	$(CC) $(OPT) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %libfit.a,$^) $(B)/libwhet.a $(LIBS) $(LIBS_TEST)
$(filter $(B)/test_fit%,$(UNIT)): $(B)/libfit.a
$(filter $(B)/test_fit%,$(UNIT)): LIBS += $(LIBS_FIT)
$(B)/test_opt: $(B)/src/app/opt.o $(B)/src/app/suggest.o
$(B)/test_score: $(B)/src/app/score.o $(B)/src/app/rule.o $(B)/src/app/width.o $(B)/src/app/json.o
$(B)/checkasm: $(CHECKASM_OBJ) $(B)/libwhet.a
	$(CC) $(OPT) $(LDFLAGS) -o $@ $^ $(LIBS)
$(FUZZ): $(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libwhet.a
	$(CC) $(OPT) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/bench_%: $(B)/bench/%.o $(B)/libwhet.a
	$(CC) $(OPT) $(LDFLAGS) -o $@ $^ $(LIBS) $(LIBS_FIT)

# ---- tests -------------------------------------------------------------------------------------------
.PHONY: check unit checkasm
check: all $(UNIT) $(CHECKASM) ## unit tests, kernel checks, command-line tests
	RUN="$(RUN)" sh tests/run.sh $(B)
unit: $(UNIT) $(CHECKASM) ## build and run the unit tests and kernel checks alone (any VARIANT, any ARCH)
	RUN="$(RUN)" sh tests/run.sh $(B) unit
.PHONY: check-asan check-ubsan
check-asan: ## the unit tests under AddressSanitizer and UBSan
	$(MAKE) VARIANT=asan unit
check-ubsan: ## the unit tests under UBSan alone
	$(MAKE) VARIANT=ubsan unit

# ---- fuzzing: libFuzzer over every tests/fuzz/fuzz_*.c, from its corpus -------------------------------
T ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_C))
SECS ?= 60
.PHONY: fuzz fuzz-run
fuzz: ## fuzz the readers of untrusted input: T="gguf tok" SECS=60 (all, a minute each)
	@sh tools/deps.sh --fuzz
	$(MAKE) VARIANT=fuzz fuzz-run T="$(T)" SECS=$(SECS)
fuzz-run: $(T:%=$(B)/fuzz_%)
	sh tests/fuzz/run.sh $(B) $(SECS) $(T)

# ---- static analysis ---------------------------------------------------------------------------------
LINT_C := $(LIB_C) $(ISA_C) $(FIT_C) $(APP_C)
.PHONY: lint
lint: ## cppcheck and clang-tidy over the sources
	@sh tools/deps.sh --lint
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --suppressions-list=tools/cppcheck.txt \
	  --enable=warning,performance,portability -Isrc -DWH_VERSION='"0"' -DWH_ISA=c -j$$(nproc) $(LINT_C)
	printf '%s\n' $(LINT_C) | xargs -P$$(nproc) -I{} clang-tidy --quiet {} -- $(CPPFLAGS) -DWH_ISA=c -std=c11 -fopenmp

# ---- first contact, benchmarks, installation ---------------------------------------------------------
.PHONY: demo bench
demo: $(B)/whet ## fetch the default model and solve a problem by eight samples and a vote
	@python3 -m pip --version >/dev/null 2>&1 || sh tools/deps.sh --pull
	$(B)/whet pull
	$(B)/whet solve --n 8 --seed 1 "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell altogether in April and May?"
bench: $(B)/whet $(BENCH) ## time the kernels and the engine on this machine
	$(foreach b,$(BENCH),$(b) &&) $(B)/whet bench

HEADS := $(wildcard models/heads/*.gguf)
PROFILES := $(wildcard models/profiles/*.json)
.PHONY: install uninstall
install: all ## install the command, the libraries, the header and whet.pc under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(B)/whet $(DESTDIR)$(PREFIX)/bin/
	$(if $(HEADS),install -d $(DESTDIR)$(PREFIX)/share/whet/heads && install -m 644 $(HEADS) $(DESTDIR)$(PREFIX)/share/whet/heads/)
	$(if $(PROFILES),install -d $(DESTDIR)$(PREFIX)/share/whet/profiles && install -m 644 $(PROFILES) $(DESTDIR)$(PREFIX)/share/whet/profiles/)
	install -m 644 src/whet.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(B)/libwhet.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(B)/libwhet.so $(DESTDIR)$(PREFIX)/lib/libwhet.so.$(VERSION)
	ln -sf libwhet.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libwhet.so.0
	ln -sf libwhet.so.0 $(DESTDIR)$(PREFIX)/lib/libwhet.so
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@DEPS@|$(DEPS)|' tools/whet.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/whet.pc
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/whet $(DESTDIR)$(PREFIX)/include/whet.h $(DESTDIR)$(PREFIX)/lib/libwhet.* $(DESTDIR)$(PREFIX)/lib/pkgconfig/whet.pc
	rm -rf $(DESTDIR)$(PREFIX)/share/whet

.PHONY: clean help
clean: ## remove everything that was built
	rm -rf build
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@sed -n '/^#   [A-Z]/s/^# //p' Makefile

-include $(shell find $(B) -name '*.d' 2>/dev/null)
