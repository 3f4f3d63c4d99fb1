/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/log.h"
#include "user/restart/state.h"
#include "user/restart/symbols.h"

enum { CRASH_STACK_BYTES = 64 * 1024 };

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

/* Global, because a signal handler gets no argument from us. */
static struct crash *watched;
static atomic_int writer; /* thread; 0: none */

/*
 * Async-signal-safe: only stores and system calls; crash_watch() called backtrace(3) before, so that it loads
 * no library here.
 */
static void crash_on_signal(int number, siginfo_t *info, void *context)
{
	int nobody = 0;
	int self = gettid();

	(void)context;
	if (atomic_compare_exchange_strong(&writer, &nobody, self)) {
		atomic_store(&watched->state, CRASH_WRITING);
		watched->code = info->si_code;
		watched->address = (uintptr_t)info->si_addr;
		(void)prctl(PR_GET_NAME, watched->thread, 0, 0, 0);
		watched->frame_count = (uint32_t)backtrace(watched->frames, CRASH_FRAMES);
		atomic_store(&watched->state, CRASH_WHOLE);
	}
	/* Another thread is writing, and the process dies when it is done. */
	while (atomic_load(&writer) != self)
		(void)pause();
	(void)signal(number, SIG_DFL);
	(void)raise(number);
}

#ifdef __SANITIZE_ADDRESS__
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

void crash_watch_thread(void)
{
	stack_t stack = { .ss_size = CRASH_STACK_BYTES };

	if (is_sanitized)
		return;
	stack.ss_sp = mmap(NULL, CRASH_STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (stack.ss_sp != MAP_FAILED)
		(void)sigaltstack(&stack, NULL);
}

void crash_watch(struct crash *crash)
{
	struct sigaction action = { .sa_sigaction = crash_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	void *frame;

	if (is_sanitized)
		return;
	watched = crash;
	atomic_store(&crash->state, CRASH_NONE);
	(void)backtrace(&frame, 1);
	crash_watch_thread();
	for (size_t i = 0; i < ARRAY_LEN(crash_signals); i++)
		(void)sigaction(crash_signals[i], &action, NULL);
}

/* ------------------------------------------------------------------------------------ the report */

static void report_frames(const struct crash *crash)
{
	struct symbols *symbols = symbols_open();
	struct text line;

	for (uint32_t i = 0; i < crash->frame_count && i < CRASH_FRAMES; i++) {
		text_init(&line);
		/*
		 * For callers the report has the return address, which may belong to the next function:
		 * subtract one.
		 */
		symbols_name(symbols, (uintptr_t)crash->frames[i] - (i > 0), &line);
		log_error("  #%u %.*s", i, SPAN_FMT(text_span(&line)));
		text_done(&line);
	}
	symbols_free(symbols);
}

static void report_events(const struct restart_state *restart_state)
{
	uint32_t worker_count =
		restart_state->worker_count < LIMIT_WORKERS ? restart_state->worker_count : LIMIT_WORKERS;

	for (uint32_t i = 0; i < worker_count; i++) {
		struct trace_record records[CRASH_EVENTS];
		uint32_t count = trace_read(&restart_state->traces[i], records, CRASH_EVENTS);

		if (count)
			log_error("  last events of worker %u:", i);
		for (uint32_t k = 0; k < count; k++) {
			struct text line;

			text_init(&line);
			trace_record_text(&records[k], &line);
			/* The log adds the newline itself. */
			if (line.len)
				log_error("    %.*s", (int)line.len - 1, text_span(&line).data);
			text_done(&line);
		}
	}
}

void crash_report(const struct restart_state *restart_state, int pid, int signal)
{
	const struct crash *crash = &restart_state->crash;
	const char *name = sigabbrev_np(signal);

	unsigned int state = atomic_load(&crash->state);

	if (state == CRASH_WRITING) {
		log_error("the gateway (process %d) crashed: SIG%s, and again while writing its report", pid,
			  name ? name : "?");
	} else if (state == CRASH_NONE) {
		log_error("the gateway (process %d) was ended by SIG%s, from outside or by the kernel", pid,
			  name ? name : "?");
	} else {
		log_error("the gateway (process %d) crashed: SIG%s, code %d, address 0x%llx, thread %.15s",
			  pid, name ? name : "?", crash->code, (unsigned long long)crash->address,
			  crash->thread);
		report_frames(crash);
	}
	report_events(restart_state);
}
