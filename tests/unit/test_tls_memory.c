/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>

#include <openssl/crypto.h>

#include "tests/unit/tls_play.h"

/*
 * The library without memory: each allocation of its own fails once while sessions and contexts are made. In
 * a program of its own, because its allocator is chosen before its first allocation.
 */
static unsigned long count, fail_at;
static unsigned long making; /* allocations until both sessions are there */

static void *give(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return ++count == fail_at ? NULL : malloc(size);
}

static void *change(void *old, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return ++count == fail_at ? NULL : realloc(old, size);
}

static void take(void *memory, const char *file, int line)
{
	(void)file, (void)line;
	free(memory);
}

static int group_make(void **state __attribute__((unused)))
{
	return CRYPTO_set_mem_functions(give, change, take) ? tls_play_make(state) : -1;
}

TEST_GROUP(group_make, tls_play_drop);

/* False: there is no session, or it failed; otherwise it works as if nothing had been. */
static bool meet_once(void)
{
	const struct tls_identity *list[] = { play.identity };
	bool is_there;

	play.server_end.session = tls_accept(&play.worker, &play.server_settings, list, 1);
	play.client_end.session = tls_connect(&play.other, &play.client_settings, SPAN("a.example"), NULL);
	fail_at = 0;
	making = count;
	is_there = play.server_end.session && play.client_end.session;
	if (is_there) {
		play.server_end.handshake = -EAGAIN;
		play.server_end.read = -EAGAIN;
		play.client_end.read = -EAGAIN;
		play.client_end.handshake = tls_handshake(play.client_end.session);
		tls_play_run(&play);
		is_there = !tls_session_failure(play.server_end.session) &&
			   !tls_session_failure(play.client_end.session);
	}
	if (is_there)
		tls_assert_talk(&play);
	tls_play_hang_up(&play);
	return is_there;
}

TEST(a_session_is_whole_or_none)
{
	unsigned long refused = 0, all;

	tls_play_compile(&play);
	assert_true(meet_once());
	count = 0;
	assert_true(meet_once());
	all = making;
	for (unsigned long nth = 1; nth <= all; nth++) {
		count = 0;
		fail_at = nth;
		if (!meet_once())
			refused++;
	}
	assert_in_range(refused, 20, all);
}

static void fill(struct tls_end *ends, size_t ends_count)
{
	for (size_t i = 0; i < ends_count; i++) {
		tls_play_hang_up(&play);
		tls_play_accept(&play, &play.worker);
		tls_play_connect(&play, "a.example", NULL);
		tls_play_run(&play);
		tls_assert_talk(&play);
		buf_done(&play.server_end.inbox);
		buf_done(&play.server_end.received);
		ends[i] = play.server_end;
		play.server_end = (struct tls_end){ 0 };
	}
	tls_end_done(&play.client_end);
}

TEST(a_quiet_session_costs_less_than_16_KiB)
{
	/* 3.2 and later keep more of each record layer, and 3.5 a key of ML-KEM. */
	enum { SESSIONS = 100, SESSION_BYTES = (OPENSSL_VERSION_NUMBER < 0x30200000 ? 16 : 32) * 1024 };
	static struct tls_end ends[SESSIONS];
	struct tls_end first[2];
	struct mallinfo2 before, after;

	/* The worker's context and what the library keeps. */
	fill(first, 2);
	before = mallinfo2();
	fill(ends, SESSIONS);
	after = mallinfo2();
	/* The sanitizers have an allocator of their own, which says nothing. */
	assert_true(after.uordblks - before.uordblks < SESSIONS * SESSION_BYTES);
	for (int i = 0; i < SESSIONS; i++)
		tls_end_done(&ends[i]);
	tls_end_done(&first[0]);
	tls_end_done(&first[1]);
}
