# SPDX-License-Identifier: Apache-2.0
#
# Everything is built under build/<profile>/; `make help` lists the targets and the variables.
# Sources are found, not listed: a new .c file in a known directory needs no change here.

PROFILE       ?= release
V             ?= 0
PREFIX        ?= /usr/local
SYSCONFDIR    ?= /etc
DESTDIR       ?=
UNITDIR       ?= $(PREFIX)/lib/systemd/system
ZSHDIR        ?= $(PREFIX)/share/zsh/site-functions
DOCDIR        ?= $(PREFIX)/share/doc/headgate
FUZZ_SECONDS  ?= 60
SOAK_SECONDS  ?= 600
# What `make scenario` and `make unit` run: T=idle picks the tests whose file or name contains "idle".
T             ?=
# Sources to leave out while a part is being rewritten: SKIP='user/kernel/% tests/unit/test_sockmap%'.
SKIP          ?=

ifeq ($(origin CC),default)
CC := gcc
endif
# The compiler of the C++ files (policy/match/regex_engine.cc, user/mcp/json/json_check.cc) is that of the C files: g++ beside gcc.
ifeq ($(origin CXX),default)
CXX = $(subst cc,++,$(subst clang,clang++,$(subst gcc,g++,$(CC))))
endif
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PYTHON  ?= /usr/bin/python3

ifeq ($(PROFILE),fuzz)
CC := $(CLANG)
endif

B   := build/$(PROFILE)
GEN := $(B)/gen
# One directory of objects per compiler: gcc and clang builds of one profile live side by side.
OBJ := $(B)/obj-$(notdir $(firstword $(CC)))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

Q := $(if $(filter 1,$(V)),,@)
IS_QUIET := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say = $(if $(filter 1,$(V))$(IS_QUIET),,@printf '  %-7s %s\n' '$1' '$2')

# ---- sources -------------------------------------------------------------------------------------------

LIB_DIRS   := user/* user/*/* policy policy/* admin admin/* config config/* config/*/*
LIB_SRC    := $(sort $(filter-out user/gateway/main.c $(SKIP),$(wildcard $(foreach d,$(LIB_DIRS),$d/*.c $d/*.cc))))
MAIN_SRC   := $(wildcard user/gateway/main.c)
ORIGIN_SRC := $(sort $(wildcard tests/origin/*.c))
# test.c has the main() of unit and BPF tests.
TEST_MAIN  := tests/lib/test.c
HELPER_SRC := $(sort $(filter-out $(TEST_MAIN),$(wildcard tests/lib/*.c)))
UNIT_SRC   := $(sort $(filter-out $(SKIP),$(wildcard tests/unit/test_*.c)))
BPFT_SRC   := $(sort $(filter-out $(SKIP),$(wildcard tests/bpf/test_*.c)))
BPFB_SRC   := $(sort $(wildcard tests/bpf/bench_*.c))
BPFH_SRC   := $(sort $(filter-out %.bpf.c tests/bpf/test_% tests/bpf/bench_%,$(wildcard tests/bpf/*.c)))
FUZZ_SRC   := $(sort $(filter-out $(SKIP),$(wildcard tests/fuzz/fuzz_*.c)))
# The main() of fuzz targets that run over their corpus once.
CORPUS_MAIN := tests/fuzz/corpus_main.c
BPF_SRC    := $(sort $(wildcard bpf/*.bpf.c tests/bpf/*.bpf.c))
OUR_SRC    := $(LIB_SRC) $(MAIN_SRC) $(ORIGIN_SRC) $(HELPER_SRC) $(TEST_MAIN) $(CORPUS_MAIN) $(UNIT_SRC) $(BPFT_SRC) $(BPFB_SRC) $(BPFH_SRC)

PROGRAMS   := $(if $(MAIN_SRC),$(B)/headgate) $(if $(ORIGIN_SRC),$(B)/httpbin)
UNIT_BIN   := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
BPFT_BIN   := $(patsubst tests/bpf/%.c,$(B)/bpf/%,$(BPFT_SRC) $(BPFB_SRC))
FUZZ_BIN   := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)
CORPUS_BIN := $(if $(filter asan,$(PROFILE)),$(FUZZ_SRC:tests/fuzz/%.c=$(B)/corpus/%))
SKELETONS  := $(patsubst %.bpf.c,$(GEN)/%.skel.h,$(notdir $(BPF_SRC)))
GENERATED  := $(GEN)/version.h $(SKELETONS)

# Goals that compile something: only for these are tools, libraries and dependency files looked at, so that
# `make help`, `make clean`, `make run` and `make check` work on a bare machine.
NO_BUILD_GOALS := help clean deps run check thorough quick lint scenario unit bpf fuzz soak crashes mcp-interop h2spec testssl ui-check conformance bench deb deb-check deb-reproducible install-data
BUILDING := $(if $(filter-out $(NO_BUILD_GOALS),$(or $(MAKECMDGOALS),all)),yes)

# The program that tests make die at each step (user/base/failpoint.h): of these files it has objects of its own.
FAIL_SRC := $(if $(BUILDING),$(shell grep -lw 'failpoint[.]h' $(LIB_SRC) $(MAIN_SRC)))
FAIL_OBJ  = $(FAIL_SRC:%.c=$(OBJ)/failpoint/%.o)

# ---- flags ---------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes \
	-Wundef -Wvla -Wformat=2 -Wnull-dereference -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough -Werror

HARDEN_C := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_L := -pie -Wl,-z,relro,-z,now,-z,noexecstack
# Reports need lines, not types: -g1 compiles in three quarters of the time.
SAN_C    := -g1 -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all

# The program is optimised across its files. Tests are not, it would take minutes: objects have plain code as well.
HAS_LTO := $(if $(findstring clang,$(CC)),,yes)

CFLAGS_release  := -O2 -g $(HARDEN_C) $(if $(HAS_LTO),-flto -ffat-lto-objects)
LDFLAGS_release := $(HARDEN_L) $(if $(HAS_LTO),-fno-lto)
CFLAGS_debug    := -O0 -g3 -fno-omit-frame-pointer
CFLAGS_asan     := $(SAN_C) -fsanitize=address,undefined
# Without PIE a start relocates and touches 270,000 pointers of checks fewer: the suite starts thousands of programs,
# and it links hundreds, for which gold takes less than half of the time.
LDFLAGS_asan    := -fsanitize=address,undefined $(if $(findstring clang,$(CC)),,-no-pie \
	$(if $(shell command -v ld.gold),-fuse-ld=gold))
# gcc does not model seq_cst fences: the kernel half of that handshake is invisible to it anyway.
CFLAGS_tsan     := $(SAN_C) -fsanitize=thread -Wno-tsan
LDFLAGS_tsan    := -fsanitize=thread
CFLAGS_fuzz     := $(SAN_C) -fsanitize=fuzzer-no-link,address,undefined
LDFLAGS_fuzz    := -fsanitize=address,undefined

ifeq ($(filter $(PROFILE),release debug asan tsan fuzz),)
$(error PROFILE=$(PROFILE) is unknown: say release, debug, asan, tsan or fuzz)
endif
# Sanitizer code confuses these flow analyses; the release build has them on.
ifneq ($(filter asan tsan fuzz,$(PROFILE)),)
WARNINGS += -Wno-null-dereference $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized)
endif

ifneq ($(filter fuzzers,$(MAKECMDGOALS)),)
ifneq ($(PROFILE),fuzz)
$(error fuzzers need their own profile: make PROFILE=fuzz fuzzers)
endif
endif

PKGS := libbpf libelf zlib libnghttp2 yaml-0.1 libcjson re2 simdjson openssl libcares libcrypt ncursesw libcurl
DEB_libbpf     := libbpf-dev
DEB_libelf     := libelf-dev
DEB_zlib       := zlib1g-dev
DEB_libnghttp2 := libnghttp2-dev
DEB_yaml-0.1   := libyaml-dev
# `headgate top`: keys, resizing, and terminals that differ.
DEB_ncursesw   := libncurses-dev
DEB_libcjson   := libcjson-dev
# Patterns come from users, values from strangers: an engine whose time is linear in the length of the value.
DEB_re2        := libre2-dev
DEB_openssl    := libssl-dev
# JSON from strangers: checks UTF-8 and grammar in one pass, with bounded depth and memory, and says where values are.
DEB_simdjson   := libsimdjson-dev
# Names in the workers' loops: getaddrinfo() waits without end for a server that is mute over TCP.
DEB_libcares   := libc-ares-dev
# The client of an API server: HTTP/2 and TLS, many requests over one connection, in our loop.
DEB_libcurl    := libcurl4-openssl-dev
DEB_cmocka     := libcmocka-dev

ifeq ($(BUILDING),yes)

need = $(if $(shell command -v $1 2>/dev/null),,$(error $1 is missing: apt-get install $2))
$(call need,$(firstword $(CC)),$(notdir $(firstword $(CC))))
$(call need,$(firstword $(CXX)),$(subst clang++,clang,$(notdir $(firstword $(CXX)))))
$(call need,pkg-config,pkg-config)
ifneq ($(BPF_SRC),)
$(call need,$(CLANG),clang)
$(call need,$(BPFTOOL),bpftool)
endif
have_pkg = $(shell pkg-config --exists $1 && echo yes)
ifneq ($(call have_pkg,$(PKGS) cmocka),yes)
$(error missing libraries: apt-get install $(foreach p,$(PKGS) cmocka,$(if $(call have_pkg,$(p)),,$(DEB_$(p)))))
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) cmocka | sed 's/-I/-isystem /g')
PKG_LIBS   := $(shell pkg-config --libs $(PKGS))

# llhttp: the distribution's library where there is one, else the C sources that node-llhttp installs.
ifeq ($(call have_pkg,libllhttp),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp | sed 's/-I/-isystem /g')
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJ    :=
else
LLHTTP_HEADER := $(firstword $(wildcard /usr/share/include/llhttp/llhttp.h) \
	$(shell dpkg -L node-llhttp 2>/dev/null | grep '/llhttp\.h$$'))
LLHTTP_DIR    := $(firstword $(wildcard /usr/share/llhttp) \
	$(patsubst %/,%,$(dir $(shell dpkg -L node-llhttp 2>/dev/null | grep '/llhttp\.c$$'))))
LLHTTP_SRC    := $(wildcard $(LLHTTP_DIR)/api.c $(LLHTTP_DIR)/http.c $(LLHTTP_DIR)/llhttp.c)
ifneq ($(words $(LLHTTP_HEADER) $(LLHTTP_SRC)),4)
$(error llhttp is missing: apt-get install node-llhttp (or libllhttp-dev where the distribution has it))
endif
LLHTTP_CFLAGS := -isystem $(patsubst %/,%,$(dir $(LLHTTP_HEADER)))
LLHTTP_LIBS   :=
LLHTTP_OBJ    := $(LLHTTP_SRC:$(LLHTTP_DIR)/%.c=$(OBJ)/third_party/llhttp/%.o)
endif

# BASE goes to our code and to foreign code alike; generated headers are system headers, so that warnings in
# what bpftool writes stay silent.
BASE      := -pthread -ffile-prefix-map=$(CURDIR)=. $(CFLAGS_$(PROFILE)) $(EXTRA_CFLAGS)
BASE_C    := -std=gnu17 -D_GNU_SOURCE= $(BASE)
CPPFLAGS_ := -I. -isystem $(B) $(LLHTTP_CFLAGS) $(PKG_CFLAGS)
COMPILE   := $(CC) $(BASE_C) $(CPPFLAGS_) $(WARNINGS)
# Without type information there is nothing for the check of virtual tables to look at.
COMPILE_CXX := $(CXX) -std=gnu++17 -fno-rtti $(BASE) $(if $(findstring undefined,$(BASE)),-fno-sanitize=vptr) \
	$(CPPFLAGS_) $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS))
# The path of a request runs fewer instructions so; elsewhere the program would only grow.
HOT       := $(if $(filter release,$(PROFILE)),$(addsuffix /%,$(addprefix user/,base client codec driver http loop obs \
	phase relay stream upstream) policy/match))
LINK      := $(CC) -pthread $(filter -f% -g% -O%,$(CFLAGS_$(PROFILE))) $(LDFLAGS_$(PROFILE)) -Wl,--as-needed $(EXTRA_LDFLAGS)
# What is generated at the link is a file in the debug symbols: without the map, with the path of the build.
LINK_LTO  := $(if $(filter -fno-lto,$(LINK)),$(filter-out -fno-lto,$(LINK)) -flto=auto -ffile-prefix-map=$(CURDIR)=.,$(LINK))
LIBS      := $(PKG_LIBS) $(LLHTTP_LIBS) -lstdc++

endif # BUILDING

objects_of = $(patsubst %.cc,$(OBJ)/%.o,$(patsubst %.c,$(OBJ)/%.o,$1))
LIB := $(B)/libheadgate.a

# Writes $2 to $1 when the text differs: files that depend on $1 follow a change of flags or of the file list.
define keep_text
@mkdir -p $(dir $1)
@printf '%s\n' '$2' | cmp -s - $1 || printf '%s\n' '$2' > $1
endef

# ---- targets -------------------------------------------------------------------------------------------

.PHONY: all tests unit-tests bpf-tests corpus failpoint objects fuzzers
all: $(PROGRAMS) build/compile_commands.json ## build headgate and httpbin into build/$(PROFILE)/
tests: all unit-tests bpf-tests corpus failpoint ## also build the programs of the tests
unit-tests: $(UNIT_BIN)
bpf-tests: $(BPFT_BIN)
corpus: $(CORPUS_BIN)
failpoint: $(B)/failpoint/headgate
objects: $(call objects_of,$(OUR_SRC)) $(LLHTTP_OBJ) $(SKELETONS) ## compile everything, link nothing (CC=clang: warnings)
fuzzers: $(FUZZ_BIN) ## build the fuzz targets (PROFILE=fuzz)

$(OBJ)/flags: FORCE
	$(call keep_text,$@,$(COMPILE) $(COMPILE_CXX) $(HOT) $(shell $(firstword $(CC)) -dumpfullversion 2>/dev/null || $(CC) -dumpversion))

$(B)/link: FORCE
	$(call keep_text,$@,$(LINK_LTO) $(LIBS) $(LIB_SRC) $(ORIGIN_SRC) $(HELPER_SRC))

$(OBJ)/%.o: %.c $(OBJ)/flags | $(GENERATED)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(filter $(HOT),$<),-O3) $(if $(filter tests/% admin/ui/page_file.c,$<),$(if $(HAS_LTO),-fno-lto)) \
		-MD -MP -c $< -o $@

# The assembler includes the files of the page; optimisation across files does not see what the assembler defines.
$(OBJ)/admin/ui/page_file.o: $(wildcard admin/ui/page/*)

$(OBJ)/%.o: %.cc $(OBJ)/flags | $(GENERATED)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE_CXX) -MD -MP -c $< -o $@

ifneq ($(LLHTTP_OBJ),)
$(OBJ)/third_party/llhttp/%.o: $(LLHTTP_DIR)/%.c $(OBJ)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_C) $(LLHTTP_CFLAGS) -DLLHTTP_STRICT_MODE=1 -w -MD -MP -c $< -o $@
endif

$(LIB): $(call objects_of,$(LIB_SRC)) $(LLHTTP_OBJ) $(B)/link
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar qcsD $@ $(filter %.o,$^)

$(B)/headgate: $(call objects_of,$(MAIN_SRC)) $(LIB) $(B)/link
	$(call say,LINK,$@)
	$(Q)$(LINK_LTO) $(filter %.o,$^) $(LIB) $(LIBS) -o $@

$(OBJ)/failpoint/%.o: %.c $(OBJ)/flags | $(GENERATED)
	$(call say,CC,$< (failpoints))
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(HAS_LTO),-fno-lto) -DHAS_FAILPOINTS -MD -MP -c $< -o $@

# What it needs of the library it finds there, but for these objects, which come first.
$(B)/failpoint/headgate: $(FAIL_OBJ) $(LIB) $(B)/link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(FAIL_OBJ) $(LIB) $(LIBS) -o $@

# The backend judges the gateway, so it shares no code with it.
$(B)/httpbin: $(call objects_of,$(ORIGIN_SRC)) $(B)/link
	$(call say,LINK,$@)
	$(Q)$(LINK) $(filter %.o,$^) -o $@

$(BPFT_BIN): $(call objects_of,$(BPFH_SRC))
$(filter-out $(B)/bpf/bench_%,$(UNIT_BIN) $(BPFT_BIN)): $(call objects_of,$(TEST_MAIN))
$(UNIT_BIN) $(BPFT_BIN): $(B)/%: $(OBJ)/tests/%.o $(call objects_of,$(HELPER_SRC)) $(LIB) $(B)/link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(filter %.o,$^) $(LIB) -lcmocka $(LIBS) -o $@

$(FUZZ_BIN): $(B)/%: $(OBJ)/tests/%.o $(LIB) $(B)/link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -fsanitize=fuzzer $(filter %.o,$^) $(LIB) $(LIBS) -o $@

# Without libFuzzer, so any compiler does; -fsanitize is that of the profile.
$(CORPUS_BIN): $(B)/corpus/%: $(OBJ)/tests/fuzz/%.o $(call objects_of,$(CORPUS_MAIN)) $(LIB) $(B)/link
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(filter %.o,$^) $(LIB) $(LIBS) -o $@

# ---- generated files -----------------------------------------------------------------------------------

# "0.1.0" from a plain export, "0.1.0+g<commit>" from a repository, the tag itself on a tagged commit.
# No date: the same source gives the same binary.
VERSION_BASE := 0.1.0
GIT_DESCRIBE := GIT_OPTIONAL_LOCKS=0 git describe --dirty
GIT_VERSION   = $(if $(wildcard .git),$(or $(patsubst v%,%,$(shell $(GIT_DESCRIBE) --tags --exact-match 2>/dev/null)),\
	$(shell $(GIT_DESCRIBE) --always --exclude '*' 2>/dev/null | sed 's/^/$(VERSION_BASE)+g/')))
VERSION       = $(or $(strip $(GIT_VERSION)),$(VERSION_BASE))

$(GEN)/version.h: FORCE
	$(call keep_text,$@,#define HEADGATE_VERSION "$(VERSION)")

BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
# The type information of BPF objects is part of the program: without the map it has the path of the build.
BPF_COMPILE = $(CLANG) -target bpf -mcpu=v3 -O2 -g -ffile-prefix-map=$(CURDIR)=. -std=gnu17 -D__TARGET_ARCH_$(BPF_ARCH) -I. -I$(GEN) \
	-idirafter /usr/include/$(shell uname -m)-linux-gnu -Wall -Wextra -Wshadow -Wno-unused-parameter -Wno-missing-declarations -Werror

$(GEN)/bpf-flags: FORCE
	$(call keep_text,$@,$(BPF_COMPILE))

$(GEN)/%.bpf.o: bpf/%.bpf.c $(GEN)/bpf-flags
	$(call say,BPF,$<)
	$(Q)$(BPF_COMPILE) -MD -MP -c $< -o $@

$(GEN)/%.bpf.o: tests/bpf/%.bpf.c $(GEN)/bpf-flags
	$(call say,BPF,$<)
	$(Q)$(BPF_COMPILE) -MD -MP -c $< -o $@

# The object without its debug sections; BTF stays. The skeleton of sockmap.bpf.c is struct sockmap_bpf.
$(GEN)/%.skel.h: $(GEN)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen object $(@:.skel.h=.stripped.o) $<
	$(Q)$(BPFTOOL) gen skeleton $(@:.skel.h=.stripped.o) name $*_bpf > $@.tmp && mv $@.tmp $@

# For lint: how headers compile, and the objects whose symbols it reads.
.PHONY: compile-command product-objects
compile-command: $(GENERATED)
	@echo 'C $(COMPILE)'
	@echo 'BPF $(BPF_COMPILE)'
	@echo 'OBJ $(OBJ)'
	@echo 'SOURCES $(LIB_SRC) $(MAIN_SRC)'
product-objects: $(call objects_of,$(LIB_SRC) $(MAIN_SRC))

build/compile_commands.json: $(OBJ)/flags $(B)/link
	@mkdir -p $(@D)
	@{ echo '['; for s in $(OUR_SRC) $(FUZZ_SRC); do \
		case $$s in *.cc) c='$(COMPILE_CXX)' ;; *) c='$(COMPILE)' ;; esac; \
		printf '{"directory":"%s","file":"%s","command":"%s -c %s"},\n' '$(CURDIR)' $$s "$$c" $$s; \
	done | sed '$$s/,$$//'; echo ']'; } > $@

ifeq ($(BUILDING),yes)
-include $(patsubst %.o,%.d,$(call objects_of,$(OUR_SRC) $(FUZZ_SRC)) $(FAIL_OBJ)) $(LLHTTP_OBJ:.o=.d) $(SKELETONS:.skel.h=.bpf.d)
endif

# ---- running -------------------------------------------------------------------------------------------

RUNNER = $(PYTHON) tests/run.py --profile $(PROFILE) --cc '$(CC)' $(if $(T),--only '$(T)')

.PHONY: deps run check thorough quick lint unit bpf scenario fuzz soak crashes mcp-interop h2spec testssl ui-check conformance bench deb deb-check deb-reproducible install install-data clean help FORCE
deps: ## install what is missing to build, check and bench (needs root and apt)
	@scripts/deps.sh build check bench

run: ## install what is missing, build, start backend and gateway with the quick-start configuration (MCP=1: tools)
	@scripts/deps.sh build
	@+$(MAKE) --no-print-directory PROFILE=$(PROFILE) all
	@MCP=$(MCP) exec scripts/run.sh $(B)

# make says "*** Error 1" after a failed recipe, but the last line here is the runner's count. So `make check` asks
# (--question) whether check-verdict has anything to do, which is answered by the exit status alone; the "+" runs
# the tests in spite of the question.
DRY_RUN := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
ifeq ($(MAKECMDGOALS)$(DRY_RUN),check)
MAKEFLAGS += --question
RUN_CHECK := +@
endif
.PHONY: check-run
check-run:
	$(RUN_CHECK)mkdir -p build && rm -f build/check-failed && \
	if scripts/deps.sh build check; then \
		$(PYTHON) tests/run.py --cc '$(CC)' \
			$(if $(filter command environment,$(origin PROFILE)),--profile $(PROFILE)) check; \
	else echo '0 passed, 1 failed'; false; fi </dev/null || echo failed > build/check-failed
check: check-run ## install what is missing, build, lint, test every function; last line: "N passed, N failed"
	$(if $(shell test -e build/check-failed && echo yes),@false)

thorough: ## what check has no time for: both profiles whole, long tests, clang, fuzzers (FUZZ_SECONDS)
	@scripts/deps.sh build check bench
	@$(PYTHON) tests/run.py --cc '$(CC)' --fuzz-seconds $(FUZZ_SECONDS) thorough </dev/null

# One after the other: both compile what is missing.
quick: lint ## lint and unit tests: the loop while you write
	@$(RUNNER) unit

lint: ## the rules a machine can check: layers, style, headers, documents
	@$(PYTHON) scripts/lint/lint.py

unit: ## unit tests of one profile (PROFILE=asan, T=name)
	@$(RUNNER) unit
bpf: ## BPF programs against real sockets (root)
	@$(RUNNER) bpf
scenario: ## black-box tests of one profile (PROFILE=asan, T=name)
	@$(RUNNER) scenario
fuzz: ## every fuzz target for FUZZ_SECONDS (60)
	@$(RUNNER) --fuzz-seconds $(FUZZ_SECONDS) fuzz
soak: ## integrity soak for SOAK_SECONDS (600)
	@$(RUNNER) --soak-seconds $(SOAK_SECONDS) soak
crashes: ## kill a gateway 300 times under load, at every step of its work
	@$(RUNNER) --soak-seconds $(SOAK_SECONDS) --only 'crashes at all steps' soak
mcp-interop: ## the MCP gateway with clients, servers and the conformance suite of others (npm); the lanes of one host
	@command -v npm >/dev/null || scripts/deps.sh interop
	@scripts/deps.sh neighbours
	@tests/interop/services/build.sh
	@$(RUNNER) interop

h2spec: ## the conformance suite of others for HTTP/2 (go install github.com/summerwind/h2spec/cmd/h2spec@latest)
	@command -v h2spec >/dev/null || { \
		echo 'h2spec is not in PATH, so nothing was tested: go install' \
			'github.com/summerwind/h2spec/cmd/h2spec@latest'; exit 1; }
	@$(PYTHON) tests/run.py --profile $(PROFILE) --cc '$(CC)' --only h2spec interop

testssl: ## testssl.sh against a gateway; fails on a finding of medium severity or higher (scripts/deps.sh testssl)
	@+$(MAKE) --no-print-directory PROFILE=release all
	@$(PYTHON) scripts/testssl.py

ui-check: ## the page for a browser in Chromium, with screenshots in build/ui/ (scripts/deps.sh browser)
	@command -v chromedriver >/dev/null || { \
		echo 'chromium-driver is missing, so nothing was tested: scripts/deps.sh browser'; exit 1; }
	@$(PYTHON) tests/run.py --profile $(PROFILE) --cc '$(CC)' --only 'ui page' scenario

conformance: ## the official suite of Gateway API against a real API server; reports in build/conformance/ (Go, root)
	@tests/conformance/build.sh
	@$(RUNNER) conformance

bench: ## tables of this machine: headgate and its peers (ARGS=... goes to scripts/bench/run.py; RECORD=1: PERFORMANCE.md)
	@scripts/deps.sh build check bench
	@+$(MAKE) --no-print-directory PROFILE=release all
	@$(if $(RECORD),scripts/bench/record.sh,$(PYTHON) scripts/bench/run.py $(ARGS))

deb: ## Debian packages of this tree into build/deb/: the program, and its debug symbols
	@scripts/deps.sh build package
	@scripts/deb.sh '$(VERSION_BASE)'

deb-check: deb ## the package's life in a container: install, upgrade under load, remove, purge (root)
	@$(PYTHON) tests/run.py --cc '$(CC)' --only life package
deb-reproducible: ## after deb: builds the packages again, in another directory, and compares every byte
	@$(PYTHON) tests/run.py --cc '$(CC)' --no-build --only reproducible package

# Pages that are installed name only what is installed: lint installs them and looks.
# What users read: not the pages about the source tree.
INSTALLED_PAGES := $(filter-out docs/architecture.md,$(wildcard docs/*.md docs/*/*.md))
MONITORING := $(wildcard docs/monitoring/*.yaml docs/monitoring/*.json)
EXAMPLES := $(filter-out tools.yaml,$(patsubst config/examples/%,%,$(wildcard config/examples/*.yaml config/examples/*/*.yaml)))
# A file of scripts/packaging with the places of this installation.
fill_in = install -D -m 644 /dev/null $(DESTDIR)$2 && sed -e 's|@bindir@|$(PREFIX)/bin|g' -e 's|@sysconfdir@|$(SYSCONFDIR)|g' \
	-e 's|@docdir@|$(DOCDIR)|g' scripts/packaging/$1 > $(DESTDIR)$2
install: $(B)/headgate install-data ## into PREFIX (/usr/local), below DESTDIR; configuration into SYSCONFDIR (/etc)
	install -D -m 755 $(B)/headgate $(DESTDIR)$(PREFIX)/bin/headgate
	$(B)/headgate schema > $(DESTDIR)$(DOCDIR)/headgate.schema.json
install-data: ## all of install but the program: pages, examples, completions, systemd unit, first configuration
	install -D -m 644 scripts/packaging/headgate.5 $(DESTDIR)$(PREFIX)/share/man/man5/headgate.5
	install -D -m 644 scripts/packaging/completions/headgate.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/headgate
	install -D -m 644 scripts/packaging/completions/_headgate $(DESTDIR)$(ZSHDIR)/_headgate
	install -D -m 644 scripts/packaging/completions/headgate.fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/headgate.fish
	for page in config/README.md $(INSTALLED_PAGES); do \
		case $$page in config/*) to=configuration.md ;; *) to=$${page#docs/} ;; esac; \
		install -D -m 644 /dev/null $(DESTDIR)$(DOCDIR)/$$to && \
		sed -E -f scripts/packaging/installed.sed $$page > $(DESTDIR)$(DOCDIR)/$$to || exit; done
	for f in $(MONITORING); do install -D -m 644 $$f $(DESTDIR)$(DOCDIR)/$${f#docs/} || exit; done
	$(call fill_in,headgate.1,$(PREFIX)/share/man/man1/headgate.1)
	$(call fill_in,headgate.service,$(UNITDIR)/headgate.service)
	$(call fill_in,headgate.apparmor,$(SYSCONFDIR)/apparmor.d/headgate)
	for f in rbac.yaml gatewayclass.yaml daemonset.yaml gateway-services.yaml example.yaml; do \
		install -D -m 644 scripts/packaging/kubernetes/$$f $(DESTDIR)$(DOCDIR)/kubernetes/$$f || exit; done
	for f in $(EXAMPLES); do install -D -m 644 config/examples/$$f $(DESTDIR)$(DOCDIR)/examples/$$f || exit; done
	sed -i 's|build/certificates|$(SYSCONFDIR)/headgate/certificates|g' $(addprefix $(DESTDIR)$(DOCDIR)/examples/,$(EXAMPLES))
	test -e $(DESTDIR)$(SYSCONFDIR)/headgate/headgate.yaml || \
		install -D -m 644 config/examples/quickstart.yaml $(DESTDIR)$(SYSCONFDIR)/headgate/headgate.yaml

clean: ## remove build/
	rm -rf build

help: ## this text
	@echo 'make [target] [VARIABLE=value]'
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*##  *\(.*\)/  \1\t\2/p' Makefile | sed 's/$$(PROFILE)/<profile>/' | expand -t 14
	@echo
	@echo 'PROFILE   release (default), debug, asan (with UBSan), tsan, fuzz'
	@echo 'CC        gcc (default) or clang, with g++ or clang++ as CXX; each has its own objects'
	@echo 'T         only tests whose file or name contains this text'
	@echo 'SKIP      sources to leave out, for example user/kernel/%'
	@echo 'V=1       show the commands'
	@echo 'EXTRA_CFLAGS, EXTRA_LDFLAGS, PREFIX, DESTDIR, SYSCONFDIR, UNITDIR, ZSHDIR, DOCDIR, FUZZ_SECONDS, SOAK_SECONDS'
