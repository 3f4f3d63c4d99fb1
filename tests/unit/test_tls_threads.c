/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "tests/unit/tls_play.h"

enum { THREADS = 3, HANDSHAKES = 60 };

/* A worker of its own; identity and trust are those of all. */
static void *work(void *context)
{
	struct tls_play *mine = context;
	bool is_valid = true;

	for (int i = 0; i < HANDSHAKES && is_valid; i++) {
		struct ssl_session_st *ticket = mine->ticket;

		mine->ticket = NULL;
		mine->client_settings.params.max_version = i % 2 ? TLS_VERSION_1_2 : TLS_VERSION_1_3;
		tls_play_meet(mine, i % 3 ? "a.example" : "c.example", i % 4 ? ticket : NULL);
		is_valid = (mine->client_end.handshake == 0) == (i % 3 != 0);
		tls_resume_free(ticket);
	}
	return is_valid ? mine : NULL;
}

TLS_PLAY_TEST(workers_use_one_identity_and_one_trust_at_the_same_time)
{
	static struct tls_play plays[THREADS];
	pthread_t threads[THREADS];
	void *result;

	play.server_settings.client_auth = TLS_CLIENT_REQUIRED;
	play.server_settings.client_trust = play.trust;
	play.client_settings.identity = play.identity;
	for (int i = 0; i < THREADS; i++) {
		plays[i] = play;
		arena_init(&plays[i].arena, 4096);
		tls_worker_init(&plays[i].worker, tls_play_secret, tls_play_now, &plays[i]);
		tls_worker_init(&plays[i].other, tls_play_secret, tls_play_now, &plays[i]);
		assert_int_equal(pthread_create(&threads[i], NULL, work, &plays[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, &plays[i]);
		tls_play_hang_up(&plays[i]);
		tls_resume_free(plays[i].ticket);
		tls_worker_done(&plays[i].worker);
		tls_worker_done(&plays[i].other);
		arena_done(&plays[i].arena);
	}
}
