/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/auth/htpasswd.h"
#include "user/base/siphash.h"
#include "user/loop/mailbox.h"

/*
 * Verifies passwords for all workers: in threads of its own, because a hash may take a second. Good pairs of
 * user and password are remembered for a while, as keyed hashes that also cover the stored hash: who changes
 * a password ends the old one at once.
 *
 *         password_checker_knows() --yes--> the request continues
 *               | no
 *         password_checker_submit() --> queue --> a thread verifies --> the worker's mailbox: run()
 *
 * The queue is bounded, in total and by client, so that one client's guesses do not keep out all others.
 * Questions with the same user and password are verified once.
 */
struct password_checker;

enum {
	PASSWORD_THREADS = 2,
	PASSWORD_QUEUE = 64, /* different questions that wait */
	PASSWORD_QUEUE_CLIENT = 8, /* of them by one client */
	PASSWORD_WAITERS = 1024, /* requests that wait */
	PASSWORD_WAITERS_CLIENT = 128, /* of them by one client */
	PASSWORD_REMEMBER_MS = 5 * 60 * 1000,
};

enum password_verdict {
	PASSWORD_WRONG,
	PASSWORD_RIGHT,
	PASSWORD_FAILED, /* not verified, by lack of memory or because the process ends: nobody may enter */
};

/* One request's question. The caller allocates it; the checker owns it from submit to run(). */
struct password_question {
	struct message message; /* run(): in the worker; then the question is the worker's again */
	struct mailbox *mailbox; /* of the worker */
	enum password_verdict verdict;
	/* set by password_question_init(): */
	struct hash128 key;
	bool is_known; /* false: an unknown user, whose password is compared with a hash for nothing */
	uint16_t hash_len;
	uint16_t password_len;
	char hash[PASSWORD_HASH_BYTES];
	char password[PASSWORD_BYTES];
	/* of the checker: */
	uint64_t client;
	bool is_first; /* of those with its key: the one that costs */
	bool is_running;
};

/* NULL without memory or threads. */
struct password_checker *password_checker_create(const struct siphash_key *key);
/*
 * Ends the threads; questions that wait get PASSWORD_FAILED, later ones -EBUSY. While the mailboxes still
 * exist. NULL allowed, as below.
 */
void password_checker_stop(struct password_checker *checker);
/* Stops, and frees the memory: nobody asks any more. */
void password_checker_free(struct password_checker *checker);

/*
 * Fills a zeroed question. An unknown user gets the hash of another one, always the same for a name, so that
 * it costs what a known one does. False for a password that cannot be right: too long, or with a control
 * character (RFC 7617 2).
 */
bool password_question_init(struct password_checker *checker, struct password_question *question,
			    const struct htpasswd *users, struct span name, struct span password);
/* True if this pair was right not long ago. */
bool password_checker_knows(struct password_checker *checker, const struct password_question *question,
			    uint64_t now_ms);
/* client: a hash of its address. 0, or -EBUSY if too many wait: then the caller still owns the question. */
int password_checker_submit(struct password_checker *checker, struct password_question *question,
			    uint64_t client);
/* Overwrites the password and the hash. Before the memory is freed. */
void password_question_wipe(struct password_question *question);
