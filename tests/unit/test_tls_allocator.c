/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tls_play.h"
#include "user/base/mem.h"
#include "user/tls/allocator.h"

/* In a program of its own, because the allocator is chosen before the library's first allocation. */
static struct tls_play play;

TEST(what_sessions_give_back_is_kept_for_the_next)
{
	/* Of ours are two sessions and a name; the library gives back ten times as much. */
	enum { MAX_BYTES = 1 << 20, OURS_BYTES = 1024 };
	size_t kept;

	tls_share_memory();
	tls_play_init(&play);
	for (int i = 0; i < 3; i++) {
		tls_play_meet(&play, "a.example", NULL);
		tls_assert_talk(&play);
		buf_done(&play.server_end.inbox);
		buf_done(&play.server_end.received);
		buf_done(&play.client_end.inbox);
		buf_done(&play.client_end.received);
		(void)mem_keep(MAX_BYTES);
		tls_play_hang_up(&play);
		kept = mem_keep(0);
#ifdef __SANITIZE_ADDRESS__
		assert_int_equal(kept, 0);
#else
		assert_in_range(kept, 4 * OURS_BYTES, MAX_BYTES);
#endif
	}
	tls_play_done(&play);
}
