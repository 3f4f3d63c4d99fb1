/* SPDX-License-Identifier: Apache-2.0 */
#include "user/auth/password_checker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "user/auth/credential_cache.h"
#include "user/auth/password_hash.h"
#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/mem.h"

enum { CACHE_SETS = 2048 }; /* 8192 pairs, 320 KiB */

struct password_checker {
	struct siphash_key key;
	pthread_mutex_t lock; /* of everything below */
	pthread_cond_t wakeup; /* a question was queued, or the end */
	struct list queue; /* of password_question.message; running ones, too */
	uint32_t waiters;
	bool is_ending;
	struct credential_cache *cache;
	uint32_t thread_count;
	pthread_t threads[PASSWORD_THREADS];
	struct password_work *work[PASSWORD_THREADS];
};

static struct password_question *question_of(struct list *node)
{
	struct message *message = list_entry(node, struct message, node);

	return container_of(message, struct password_question, message);
}

/* The oldest question that no thread verifies yet. Called with the lock. */
static struct password_question *next_question(struct password_checker *checker)
{
	list_each(node, next, &checker->queue) {
		struct password_question *question = question_of(node);

		if (!question->is_running)
			return question;
	}
	return NULL;
}

static void answer(struct password_checker *checker, struct password_question *question,
		   enum password_verdict verdict)
{
	list_remove(&question->message.node);
	checker->waiters--;
	question->verdict = verdict;
	mailbox_send(question->mailbox, &question->message);
}

/* Answers all questions with this key. Called with the lock. */
static void answer_all(struct password_checker *checker, struct hash128 key, enum password_verdict verdict)
{
	uint64_t now_ms = clock_now_ms();

	if (verdict == PASSWORD_RIGHT)
		credential_cache_put(checker->cache, key, now_ms, now_ms + PASSWORD_REMEMBER_MS, NULL);
	list_each(node, next, &checker->queue)
		if (hash128_eq(question_of(node)->key, key))
			answer(checker, question_of(node), verdict);
}

static enum password_verdict verify(struct password_work *work, const struct password_question *question)
{
	int result = password_hash_verify(work, span_of(question->hash, question->hash_len),
					  span_of(question->password, question->password_len));

	if (result < 0)
		return PASSWORD_FAILED;
	return result == 1 && question->is_known ? PASSWORD_RIGHT : PASSWORD_WRONG;
}

/* Marks all questions with this key, so that one thread verifies them. */
static void mark_running(struct password_checker *checker, struct hash128 key)
{
	list_each(node, next, &checker->queue)
		if (hash128_eq(question_of(node)->key, key))
			question_of(node)->is_running = true;
}

static struct password_work *take_work(struct password_checker *checker)
{
	for (uint32_t i = 0; i < PASSWORD_THREADS; i++) {
		struct password_work *work = checker->work[i];

		checker->work[i] = NULL;
		if (work)
			return work;
	}
	CHECK(false);
}

static void *thread_main(void *context)
{
	struct password_checker *checker = context;
	struct password_work *work;

	pthread_mutex_lock(&checker->lock);
	work = take_work(checker);
	while (!checker->is_ending) {
		struct password_question *question = next_question(checker);
		enum password_verdict verdict;
		struct hash128 key;

		if (!question) {
			pthread_cond_wait(&checker->wakeup, &checker->lock);
			continue;
		}
		key = question->key;
		mark_running(checker, key);
		pthread_mutex_unlock(&checker->lock);
		verdict = verify(work, question);
		pthread_mutex_lock(&checker->lock);
		answer_all(checker, key, verdict);
	}
	pthread_mutex_unlock(&checker->lock);
	password_work_free(work);
	return NULL;
}

/* Signals are for the main thread. */
static bool start_threads(struct password_checker *checker)
{
	sigset_t all, before;
	int error = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (error == 0 && checker->thread_count < PASSWORD_THREADS) {
		error = pthread_create(&checker->threads[checker->thread_count], NULL, thread_main, checker);
		checker->thread_count += error == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error == 0;
}

struct password_checker *password_checker_create(const struct siphash_key *key)
{
	struct password_checker *checker = hg_calloc(1, sizeof(*checker));
	bool is_made;

	if (!checker)
		return NULL;
	checker->key = *key;
	pthread_mutex_init(&checker->lock, NULL);
	pthread_cond_init(&checker->wakeup, NULL);
	list_init(&checker->queue);
	checker->cache = credential_cache_create(CACHE_SETS, NULL);
	is_made = checker->cache != NULL;
	for (uint32_t i = 0; i < PASSWORD_THREADS; i++) {
		checker->work[i] = password_work_create();
		is_made = is_made && checker->work[i];
	}
	if (!is_made || !start_threads(checker)) {
		password_checker_free(checker);
		return NULL;
	}
	return checker;
}

void password_checker_stop(struct password_checker *checker)
{
	if (!checker)
		return;
	pthread_mutex_lock(&checker->lock);
	checker->is_ending = true;
	pthread_cond_broadcast(&checker->wakeup);
	pthread_mutex_unlock(&checker->lock);
	for (uint32_t i = 0; i < checker->thread_count; i++)
		pthread_join(checker->threads[i], NULL);
	checker->thread_count = 0;
	/* Workers still ask, are refused, and count the queue. */
	pthread_mutex_lock(&checker->lock);
	list_each(node, next, &checker->queue)
		answer(checker, question_of(node), PASSWORD_FAILED);
	pthread_mutex_unlock(&checker->lock);
}

void password_checker_free(struct password_checker *checker)
{
	if (!checker)
		return;
	password_checker_stop(checker);
	for (uint32_t i = 0; i < PASSWORD_THREADS; i++)
		password_work_free(checker->work[i]);
	credential_cache_free(checker->cache);
	pthread_cond_destroy(&checker->wakeup);
	pthread_mutex_destroy(&checker->lock);
	explicit_bzero(checker, sizeof(*checker));
	hg_free(checker);
}

static struct hash128 hash_parts(const struct siphash_key *key, struct span a, struct span b, struct span c)
{
	struct siphash h;

	siphash_start(&h, key);
	siphash_add_part(&h, a);
	siphash_add_part(&h, b);
	siphash_add_part(&h, c);
	return siphash_end(&h);
}

static bool has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return true;
	return false;
}

bool password_question_init(struct password_checker *checker, struct password_question *question,
			    const struct htpasswd *users, struct span name, struct span password)
{
	const struct htpasswd_user *user = htpasswd_find(users, name);
	struct span none = { 0 };

	if (password.len > sizeof(question->password) || has_control(password) || has_control(name))
		return false;
	question->is_known = user != NULL;
	if (!user) {
		struct hash128 random = hash_parts(&checker->key, name, none, none);

		user = &users->user_list[random.low % users->user_count];
	}
	CHECK(user->hash.len <= sizeof(question->hash));
	question->hash_len = (uint16_t)user->hash.len;
	memcpy(question->hash, user->hash.data, user->hash.len);
	question->password_len = (uint16_t)password.len;
	if (password.len)
		memcpy(question->password, password.data, password.len);
	question->key = hash_parts(&checker->key, name, password, user->hash);
	return true;
}

bool password_checker_knows(struct password_checker *checker, const struct password_question *question,
			    uint64_t now_ms)
{
	void *value;
	bool result;

	if (!question->is_known)
		return false;
	pthread_mutex_lock(&checker->lock);
	result = credential_cache_find(checker->cache, question->key, now_ms, &value);
	pthread_mutex_unlock(&checker->lock);
	return result;
}

struct queue_counts {
	uint32_t questions; /* different ones */
	uint32_t of_client; /* of them */
	uint32_t waiters_of_client; /* the same ones, too */
	bool is_there; /* the same question is in the queue */
	bool is_running;
};

static struct queue_counts count_queue(struct password_checker *checker, struct hash128 key, uint64_t client)
{
	struct queue_counts counts = { 0 };

	list_each(node, next, &checker->queue) {
		struct password_question *question = question_of(node);

		if (hash128_eq(question->key, key)) {
			counts.is_there = true;
			counts.is_running |= question->is_running;
		}
		counts.questions += question->is_first;
		if (question->client == client) {
			counts.waiters_of_client++;
			counts.of_client += question->is_first;
		}
	}
	return counts;
}

int password_checker_submit(struct password_checker *checker, struct password_question *question,
			    uint64_t client)
{
	struct queue_counts counts;
	int result = -EBUSY;

	pthread_mutex_lock(&checker->lock);
	counts = count_queue(checker, question->key, client);
	if (checker->waiters < PASSWORD_WAITERS && counts.waiters_of_client < PASSWORD_WAITERS_CLIENT &&
	    !checker->is_ending &&
	    (counts.is_there ||
	     (counts.questions < PASSWORD_QUEUE && counts.of_client < PASSWORD_QUEUE_CLIENT))) {
		question->client = client;
		question->is_first = !counts.is_there;
		question->is_running = counts.is_running;
		list_add_tail(&checker->queue, &question->message.node);
		checker->waiters++;
		if (!counts.is_there)
			pthread_cond_signal(&checker->wakeup);
		result = 0;
	}
	pthread_mutex_unlock(&checker->lock);
	return result;
}

void password_question_wipe(struct password_question *question)
{
	explicit_bzero(question->password, sizeof(question->password));
	explicit_bzero(question->hash, sizeof(question->hash));
}
