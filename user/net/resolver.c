/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/resolver.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/net/lookup.h"
#include "user/net/name_table.h"

enum { FAILURE_LOG_INTERVAL_MS = 60000 };

/* One name in the process' cache. Everything is under resolver->lock. */
struct resolver_name {
	struct name_entry entry; /* busy while queued or looked up */
	struct list queue; /* in resolver->queue while waiting for a thread */
	struct list waiting; /* of struct resolver_ask */
	struct resolver_answer answer;
	uint64_t answered_ms; /* when the list was last confirmed */
	struct log_rate failure_log;
	bool is_failure_logged; /* so its end is worth a line, too */
};

struct resolver {
	atomic_uint refs; /* the owner, and each thread */
	struct resolver_options options;

	pthread_mutex_t lock;
	pthread_cond_t ended; /* the last thread has; waits in CLOCK_MONOTONIC */
	unsigned int thread_count;
	bool is_stopping;
	uint32_t queue_len;
	struct list queue; /* of struct resolver_name, oldest first */
	struct name_table names;
};

/* What a look-up found, on the stack of its thread. */
struct finding {
	int result;
	uint32_t count;
	struct address address_list[LIMIT_ADDRESSES];
};

struct resolver_list *resolver_list_create(uint32_t count)
{
	struct resolver_list *list = hg_malloc(sizeof(*list) + count * sizeof(list->address_list[0]));

	if (!list)
		return NULL;
	atomic_init(&list->refs, 1);
	list->count = count;
	return list;
}

struct resolver_list *resolver_list_ref(struct resolver_list *list)
{
	atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
	return list;
}

void resolver_list_unref(struct resolver_list *list)
{
	if (list && atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) == 1)
		hg_free(list);
}

void resolver_answer_set(struct resolver_answer *answer, struct resolver_answer next)
{
	struct resolver_list *old = answer->list;

	*answer = next;
	resolver_list_unref(old);
}

static struct resolver_answer answer_copy(const struct resolver_answer *answer)
{
	if (answer->list)
		resolver_list_ref(answer->list);
	return *answer;
}

static void resolver_name_free(struct resolver *resolver, struct resolver_name *name)
{
	name_table_remove(&resolver->names, &name->entry);
	list_remove(&name->queue);
	resolver_list_unref(name->answer.list);
	hg_free(name);
}

static void resolver_unref(struct resolver *resolver)
{
	struct name_entry *entry;

	if (atomic_fetch_sub_explicit(&resolver->refs, 1, memory_order_acq_rel) != 1)
		return;
	while ((entry = name_table_any(&resolver->names)) != NULL)
		resolver_name_free(resolver, container_of(entry, struct resolver_name, entry));
	pthread_cond_destroy(&resolver->ended);
	pthread_mutex_destroy(&resolver->lock);
	hg_free(resolver);
}

/*
 * The same addresses in the same order keep the list object, so that users can tell "nothing changed" by
 * pointer.
 */
static bool is_unchanged(const struct resolver_list *list, const struct finding *finding)
{
	if (!list || list->count != finding->count)
		return false;
	for (uint32_t i = 0; i < list->count; i++) {
		if (!address_eq(&list->address_list[i], &finding->address_list[i]))
			return false;
	}
	return true;
}

static int resolver_name_publish(struct resolver_name *name, const struct finding *finding)
{
	struct resolver_list *list;

	if (is_unchanged(name->answer.list, finding))
		return 0;
	list = resolver_list_create(finding->count);
	if (!list)
		return -ENOMEM;
	memcpy(list->address_list, finding->address_list, finding->count * sizeof(finding->address_list[0]));
	resolver_list_unref(name->answer.list);
	name->answer.list = list;
	return 0;
}

/* Line for the log about one look-up, composed under the lock and written after it. */
struct resolver_news {
	enum { NEWS_NONE, NEWS_FAILED, NEWS_KEPT, NEWS_RECOVERED } kind;
	uint32_t count;
	uint64_t age_s;
};

static struct resolver_news resolver_name_update(struct resolver *resolver, struct resolver_name *name,
						 const struct finding *finding, uint64_t now_ms)
{
	const struct resolver_options *options = &resolver->options;
	struct resolver_news news = { .kind = NEWS_NONE };
	struct resolver_answer *answer = &name->answer;
	int error = finding->result ? finding->result : resolver_name_publish(name, finding);
	uint64_t suppressed;

	answer->result = answer->list ? 0 : error;
	answer->fresh_until_ms = now_ms + (error ? options->negative_ms : options->refresh_ms);
	answer->stale_until_ms = answer->fresh_until_ms + options->refresh_ms;
	news.count = answer->list ? answer->list->count : 0;
	if (!error) {
		news.kind = name->is_failure_logged ? NEWS_RECOVERED : NEWS_NONE;
		name->answered_ms = now_ms;
		name->is_failure_logged = false;
	} else if (log_rate_pass(&name->failure_log, now_ms, FAILURE_LOG_INTERVAL_MS, &suppressed)) {
		news.kind = answer->list ? NEWS_KEPT : NEWS_FAILED;
		news.age_s = (now_ms - name->answered_ms) / 1000;
		name->is_failure_logged = true;
	}
	return news;
}

static void resolver_log(const char *host, int error, struct resolver_news news)
{
	switch (news.kind) {
	case NEWS_NONE:
		return;
	case NEWS_FAILED:
		log_warn("resolving \"%s\" failed: %s", host, lookup_error_text(error));
		return;
	case NEWS_KEPT:
		log_warn("resolving \"%s\" failed: %s; its %u addresses of %llu s ago stay in use", host,
			 lookup_error_text(error), news.count, (unsigned long long)news.age_s);
		return;
	case NEWS_RECOVERED:
		log_info("resolving \"%s\" works again: %u addresses", host, news.count);
		return;
	}
}

static void resolver_name_answer(struct resolver_name *name)
{
	struct list *node;

	while ((node = list_pop(&name->waiting)) != NULL) {
		struct resolver_ask *ask = list_entry(node, struct resolver_ask, node);

		ask->answer = answer_copy(&name->answer);
		mailbox_send(ask->mailbox, &ask->message);
	}
}

static void resolver_find(const struct resolver_options *options, const char *host, uint16_t port,
			  struct finding *ret_finding)
{
	struct address *list = ret_finding->address_list;
	uint32_t count = 0;
	int result = options->lookup(options->context, host, list, LIMIT_ADDRESSES, &count);

	for (uint32_t i = 0; i < count; i++)
		address_set_port(&list[i], port);
	ret_finding->count = count;
	ret_finding->result = result == 0 && count == 0 ? -ENOENT : result;
}

/* With the lock held, which it gives up for the look-up; the name stays because it is busy. */
static void resolver_serve(struct resolver *resolver, struct resolver_name *name)
{
	struct finding finding;
	struct resolver_news news;
	char host[NAME_HOST_BYTES + 1];

	memcpy(host, name->entry.host, sizeof(host));
	pthread_mutex_unlock(&resolver->lock);
	resolver_find(&resolver->options, host, name->entry.port, &finding);
	pthread_mutex_lock(&resolver->lock);
	news = resolver_name_update(resolver, name, &finding, clock_now_ms());
	name->entry.is_busy = false;
	/* Under the lock: once a client has withdrawn its ask, nothing is sent to its mailbox. */
	resolver_name_answer(name);
	if (news.kind != NEWS_NONE) {
		pthread_mutex_unlock(&resolver->lock);
		resolver_log(host, finding.result ? finding.result : -ENOMEM, news);
		pthread_mutex_lock(&resolver->lock);
	}
}

/* Ends when nothing is left to do: a look-up that hangs keeps its own thread only. */
static void *resolver_thread(void *argument)
{
	struct resolver *resolver = argument;
	struct list *node;

	pthread_mutex_lock(&resolver->lock);
	while (!resolver->is_stopping && (node = list_pop(&resolver->queue)) != NULL) {
		resolver->queue_len--;
		resolver_serve(resolver, list_entry(node, struct resolver_name, queue));
	}
	if (--resolver->thread_count == 0)
		pthread_cond_signal(&resolver->ended);
	pthread_mutex_unlock(&resolver->lock);
	resolver_unref(resolver);
	return NULL;
}

/* With the lock held. Signals belong to the main thread's signalfd. */
static bool resolver_start_thread(struct resolver *resolver)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_attr_setsigmask_np(&attributes, &all);
	if (!error)
		error = pthread_create(&thread, &attributes, resolver_thread, resolver);
	pthread_attr_destroy(&attributes);
	if (error)
		return false;
	atomic_fetch_add_explicit(&resolver->refs, 1, memory_order_relaxed);
	resolver->thread_count++;
	return true;
}

static void resolver_init_locks(struct resolver *resolver)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&resolver->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&resolver->ended, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

struct resolver *resolver_create(const struct resolver_options *options)
{
	struct resolver *resolver = hg_calloc(1, sizeof(*resolver));

	if (!resolver) {
		errno = ENOMEM;
		return NULL;
	}
	resolver->options = *options;
	if (!resolver->options.refresh_ms)
		resolver->options.refresh_ms = 30000;
	if (!resolver->options.negative_ms)
		resolver->options.negative_ms = 1000;
	if (!resolver->options.threads)
		resolver->options.threads = RESOLVER_THREADS;
	if (!resolver->options.lookup)
		resolver->options.lookup = lookup_system;
	atomic_init(&resolver->refs, 1);
	resolver_init_locks(resolver);
	list_init(&resolver->queue);
	name_table_init(&resolver->names);
	return resolver;
}

static struct timespec join_deadline(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(RESOLVER_JOIN_MS * NS_PER_MS);
	until.tv_sec += until.tv_nsec / (long)NS_PER_S;
	until.tv_nsec %= (long)NS_PER_S;
	return until;
}

void resolver_free(struct resolver *resolver)
{
	struct timespec until = join_deadline();

	if (!resolver)
		return;
	pthread_mutex_lock(&resolver->lock);
	resolver->is_stopping = true;
	while (resolver->thread_count > 0 &&
	       pthread_cond_timedwait(&resolver->ended, &resolver->lock, &until) == 0)
		;
	pthread_mutex_unlock(&resolver->lock);
	resolver_unref(resolver);
}

/* The cached name, or a new one; NULL with the reason in *ret_error. */
static struct resolver_name *resolver_name_take(struct resolver *resolver, struct span host, uint16_t port,
						int *ret_error)
{
	struct name_entry *entry = name_table_find(&resolver->names, host, port);
	struct resolver_name *name;

	if (entry)
		return container_of(entry, struct resolver_name, entry);
	if (resolver->names.count >= LIMIT_RESOLVE_NAMES) {
		entry = name_table_oldest(&resolver->names);
		if (!entry) {
			*ret_error = -ENOBUFS;
			return NULL;
		}
		resolver_name_free(resolver, container_of(entry, struct resolver_name, entry));
	}
	name = hg_calloc(1, sizeof(*name));
	if (!name) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	list_init(&name->queue);
	list_init(&name->waiting);
	name_table_add(&resolver->names, &name->entry, host, port);
	return name;
}

static int resolver_ask_locked(struct resolver *resolver, struct span host, uint16_t port,
			       struct resolver_ask *ask, struct resolver_answer *ret_answer)
{
	int error = 0;
	struct resolver_name *name = resolver_name_take(resolver, host, port, &error);

	if (!name)
		return error;
	if (clock_now_ms() < name->answer.fresh_until_ms) {
		*ret_answer = answer_copy(&name->answer);
		return 0;
	}
	if (!name->entry.is_busy) {
		if (resolver->queue_len >= LIMIT_RESOLVE_QUEUE)
			return -ENOBUFS;
		if (resolver->thread_count < resolver->options.threads &&
		    !resolver_start_thread(resolver) && resolver->thread_count == 0)
			return -ENOMEM;
		name->entry.is_busy = true;
		list_add_tail(&resolver->queue, &name->queue);
		resolver->queue_len++;
	}
	list_add_tail(&name->waiting, &ask->node);
	return -EINPROGRESS;
}

int resolver_ask(struct resolver *resolver, struct span host, uint16_t port, struct resolver_ask *ask,
		 struct resolver_answer *ret_answer)
{
	int error;

	pthread_mutex_lock(&resolver->lock);
	error = resolver_ask_locked(resolver, host, port, ask, ret_answer);
	pthread_mutex_unlock(&resolver->lock);
	return error;
}

void resolver_ask_withdraw(struct resolver *resolver, struct resolver_ask *ask)
{
	pthread_mutex_lock(&resolver->lock);
	list_remove(&ask->node);
	pthread_mutex_unlock(&resolver->lock);
}
