
# "make help" lists the targets

SHELL =		/bin/bash

# source tree of nginx; empty: the one of Debian's nginx-dev
NGINX_SRC =

# URL of WAHA for "make run"; empty: start a stand-in for WAHA
WAHA_URL =
PORT =		8080

# what "make matrix" runs: releases of PostgreSQL, source trees of nginx,
# freenginx and Angie, and tests; the SQL tests run on PostgreSQL only
POSTGRES =	13 14 15 16 17 18
NGINX_TREES =
SQL_TESTS =	t/sql_*.t
MAIN_TESTS =	t/webhook_answers.t t/webhook_batch.t t/webhook_fixtures.t \
		t/webhook_hostile.t t/webhook_ignore.t t/webhook_signature.t \
		t/webhook_tenants.t t/api_isolation.t t/api_media.t \
		t/api_nginx.t t/api_reading.t t/api_requests.t \
		t/session_connect.t t/session_control.t t/session_link.t \
		t/auth_credentials.t t/auth_locations.t t/db_pool.t \
		t/db_roles.t t/fault_client_gone.t t/fault_commit.t \
		t/fault_reload.t t/fault_row_locked.t t/fault_server_killed.t \
		t/fault_worker_killed.t t/ops_configuration.t

# how many times "make soak" runs each fault test
RUNS =

# seconds that "make fuzz" runs each target
TIME =		60

DESTDIR =
MODULES =	/usr/lib/nginx/modules

TESTS =		t/*.t
PROVE =		prove -j2 -I t/lib

CC_OPT =	-g -O2 -fPIC -fstack-protector-strong -D_FORTIFY_SOURCE=2
LD_OPT =	-Wl,-z,relro -Wl,-z,now -fPIC

ASAN =		-fsanitize=address,undefined
ASAN_CC_OPT =	-O1 -g -fno-omit-frame-pointer $(ASAN) \
		-fno-sanitize=nonnull-attribute,alignment \
		-fno-sanitize-recover=undefined -DNGX_DEBUG_PALLOC=1

# one line for each file; "make V=1" shows the commands
ifeq ($(V),)
QUIET =		-s CC='@echo "  CC  $$(notdir $$@)"; $(CC)'
endif

MODULE =	ngx_http_waha_module.so
REPO :=		$(CURDIR)

ifeq ($(NGINX_SRC),)
TREE =		/usr/share/nginx/src
OBJS =		$(REPO)/build/objs
BUILT =		$(REPO)/build/$(MODULE)
TARGET =	modules
ENV =
CONFIGURE =	. ./conf_flags && bash ./configure "$${NGX_CONF_FLAGS[@]}"
else
TREE =		$(abspath $(NGINX_SRC))
OBJS =		$(REPO)/build/objs$(subst /,-,$(TREE))
BUILT =		$(OBJS)/$(MODULE)
BINARY =	$(if $(wildcard $(TREE)/src/core/angie.h),angie,nginx)
TARGET =	binary modules
ENV =		TEST_NGINX_BINARY=$(OBJS)/$(BINARY) TEST_NGINX_MODULE=$(BUILT)
CONFIGURE =	bash $(if $(wildcard $(TREE)/configure),./,auto/)configure \
		--with-compat --with-debug --with-threads \
		--with-http_ssl_module --with-http_v2_module \
		--with-http_auth_request_module --with-http_realip_module \
		--with-http_gunzip_module --with-http_slice_module \
		--with-http_sub_module
endif


.PHONY: all run test asan asan-binary fuzz bench soak mutants matrix install \
	import-secrets clean help setup


all:			## build build/ngx_http_waha_module.so (NGINX_SRC=)
all: $(OBJS)/Makefile
	@flock $(OBJS) $(MAKE) $(QUIET) --no-print-directory -j2 -C $(TREE) \
		-f $(OBJS)/Makefile $(TARGET)
	@# a running nginx may have mapped the old file: do not write into it
	@cmp -s $(OBJS)/$(MODULE) $(BUILT) \
		|| { cp $(OBJS)/$(MODULE) $(BUILT).new \
		     && mv $(BUILT).new $(BUILT); }


$(OBJS)/Makefile: config $(wildcard $(TREE)/conf_flags \
		$(TREE)/src/core/nginx.h $(TREE)/src/core/angie.h)
	@t/setup build $(if $(NGINX_SRC),source)
	@mkdir -p $(OBJS)
	@echo "  CONFIGURE  $(TREE)"
	@cd $(TREE) && flock $(OBJS) bash -c '$(CONFIGURE) \
		--with-cc-opt="$(CC_OPT)" --with-ld-opt="$(LD_OPT)" \
		--builddir=$(OBJS) --add-dynamic-module=$(REPO)' \
		> $(OBJS)/configure.log || { cat $(OBJS)/configure.log; exit 1; }


setup:
	@t/setup build test


run:			## try the module with sample webhooks (PORT=, WAHA_URL=)
run: setup all
	@$(ENV) WAHA_URL='$(WAHA_URL)' PORT='$(PORT)' t/run


test:			## run all tests (TESTS='t/name.t ...')
test: setup all
	$(ENV) $(PROVE) $(TESTS)


asan:			## run all tests, with nginx under ASan and UBSan
asan: setup asan-binary
	TEST_NGINX_BINARY=$(REPO)/build/asan/nginx TEST_NGINX_MODULE= \
		$(PROVE) $(TESTS)


asan-binary: build/asan/Makefile
	@flock build/asan $(MAKE) $(QUIET) --no-print-directory -j2 \
		-C `cat build/asan/tree` -f $(REPO)/build/asan/Makefile binary


build/asan/Makefile: config
	@mkdir -p build/asan
	@t/nginx-source $(NGINX_SRC) > build/asan/tree
	@echo "  CONFIGURE  `cat build/asan/tree`"
	@cd `cat build/asan/tree` && \
		bash $$(test -x configure && echo ./configure \
			|| echo auto/configure) \
		--with-debug --with-threads --with-http_ssl_module \
		--with-http_v2_module --with-http_auth_request_module \
		--with-http_realip_module --with-http_gunzip_module \
		--with-http_slice_module --with-http_sub_module \
		--with-cc-opt='$(ASAN_CC_OPT)' --with-ld-opt='$(ASAN)' \
		--builddir=$(REPO)/build/asan --add-module=$(REPO) \
		> $(REPO)/build/asan/configure.log \
		|| { cat $(REPO)/build/asan/configure.log; \
		     rm -f $(REPO)/build/asan/Makefile; exit 1; }


soak:			## run each fault test RUNS= times (30)
soak: setup all
	$(ENV) RUNS=$(or $(RUNS),30) $(PROVE) t/fault_*.t


mutants:		## plant bugs and show that the tests find them
mutants: setup all
	$(ENV) t/mutants/run


matrix:			## run tests on other releases (POSTGRES=, NGINX_TREES=)
matrix: setup all
	@t/setup $(addprefix postgres-,$(POSTGRES))
	@SQL_TESTS='$(SQL_TESTS)' MAIN_TESTS='$(MAIN_TESTS)' PROVE='$(PROVE)' \
		t/matrix $(POSTGRES) $(NGINX_TREES)


fuzz:			## fuzz the parsers, TIME= seconds each (60)
	@t/setup build fuzz
	TIME=$(TIME) t/fuzz/run


bench:			## compare the speed with pgbench, Node and Lua (PARTS=...)
bench: setup all
	@t/setup bench
	$(ENV) t/bench/run $(PARTS)


install:		## install the module into MODULES=/usr/lib/nginx/modules
install: all
	install -d $(DESTDIR)$(MODULES)
	install -m 644 $(BUILT) $(DESTDIR)$(MODULES)/$(MODULE)


import-secrets:		## build build/import-secrets, for tokens of another CRM
import-secrets: $(OBJS)/Makefile
	@$(CC) $(CC_OPT) $(LD_OPT) -W -Wall -Wextra -Werror \
		-Wno-unused-parameter -I$(OBJS) -I$(TREE)/src/core \
		-I$(TREE)/src/event -I$(TREE)/src/os/unix -Isrc/base \
		-o build/import-secrets.$$$$ src/import/*.c \
		src/base/ngx_http_waha_gcm.c src/base/ngx_http_waha_secret.c \
		src/base/ngx_http_waha_string.c -lcrypto \
		&& mv build/import-secrets.$$$$ build/import-secrets


clean:			## remove build/
	rm -rf build


help:			## show this list
	@sed -n 's/^\([a-z-]*\):[[:space:]]*## /\1\t/p' Makefile | expand -t16
