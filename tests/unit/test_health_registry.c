/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "policy/health_check.h"
#include "policy/health_group.h"
#include "tests/unit/policy_model.h"
#include "user/base/check.h"
#include "user/gateway/health_registry.h"

#include <errno.h>
#include <stdio.h>

static const struct health_policy watched = { .has_eviction = true };

/* One route to one service of these endpoints; only refs with a policy are watched. */
static void registry_model(struct model *m, const char *const *texts, uint32_t count,
			   const struct health_policy *policy)
{
	struct backend *backend;
	struct backend_ref *ref;

	model_init(m);
	if (m->failed)
		return;
	backend = model_backend(m, BACKEND_SERVICE, "ns", "ns/svc");
	backend->endpoint_list = model_take(m, count * sizeof(struct endpoint));
	ref = model_ref(m, model_route(m, model_listener(m, model_bind(m, 80), "ns", "gw", "http", ""), "r"),
			backend, 1);
	if (m->failed)
		return;
	backend->endpoint_count = count;
	for (uint32_t i = 0; i < count; i++)
		backend->endpoint_list[i].text = span_str(texts[i]);
	ref->health = policy;
}

static struct endpoint_health *record_of(const struct model *m, uint32_t index)
{
	return m->snapshot->backend_list[0].endpoint_list[index].health;
}

TEST(only_endpoints_behind_a_policy_get_a_record)
{
	static const char *const texts[] = { "a:1", "b:1" };
	struct health_registry registry;
	struct model with, without;

	health_registry_init(&registry);
	registry_model(&with, texts, 2, &watched);
	registry_model(&without, texts, 2, NULL);
	assert_int_equal(health_registry_attach(&registry, without.snapshot, 1000), 0);
	assert_int_equal(registry.count, 0);
	assert_null(record_of(&without, 0));
	assert_int_equal(health_registry_attach(&registry, with.snapshot, 1000), 0);
	assert_int_equal(registry.count, 2);
	assert_text(record_of(&with, 0)->text, "a:1");
	assert_text(record_of(&with, 1)->text, "b:1");
	assert_int_equal(health_score(record_of(&with, 0)), 1000000);
	model_done(&with);
	model_done(&without);
	health_registry_done(&registry);
}

TEST(a_reload_keeps_what_is_known_of_endpoints_that_stay)
{
	static const char *const old_texts[] = { "a:1", "b:1" }, *const new_texts[] = { "b:1", "c:1" };
	struct endpoint_health *stays, *goes;
	struct health_registry registry;
	struct model old, new, last;

	health_registry_init(&registry);
	registry_model(&old, old_texts, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, old.snapshot, 1000), 0);
	goes = record_of(&old, 0);
	stays = record_of(&old, 1);
	atomic_store(&stays->evicted_until_ms, 77);
	registry_model(&new, new_texts, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, new.snapshot, 1000), 0);
	assert_ptr_equal(record_of(&new, 0), stays);
	assert_int_equal(atomic_load(&record_of(&new, 0)->evicted_until_ms), 77);
	assert_int_equal(registry.count, 3); /* streams of the old snapshot may still judge a:1 */
	assert_text(goes->text, "a:1");
	model_done(&old);
	registry_model(&last, new_texts, 1, &watched);
	assert_int_equal(health_registry_attach(&registry, last.snapshot, 1000), 0);
	assert_int_equal(registry.count, 2); /* a:1 is forgotten, c:1 still belongs to `new` */
	model_done(&new);
	model_done(&last);
	health_registry_done(&registry);
}

static uint64_t since_of(const struct model *m, uint32_t index)
{
	return atomic_load(&record_of(m, index)->since_ms);
}

TEST(an_endpoint_that_joins_others_starts_slowly_and_all_together_do_not)
{
	static const char *const first[] = { "a:1", "b:1" }, *const second[] = { "b:1", "c:1" },
				 *const third[] = { "d:1", "e:1" };
	struct health_registry registry;
	struct model m[3];

	health_registry_init(&registry);
	registry_model(&m[0], first, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, m[0].snapshot, 1000), 0);
	assert_int_equal(since_of(&m[0], 0), 0);
	assert_int_equal(since_of(&m[0], 1), 0);
	registry_model(&m[1], second, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, m[1].snapshot, 2000), 0);
	assert_int_equal(since_of(&m[1], 0), 0);
	assert_int_equal(since_of(&m[1], 1), 2000);
	/* A backend of new endpoints only, and one that another reload does not start again. */
	registry_model(&m[2], third, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, m[2].snapshot, 3000), 0);
	assert_int_equal(since_of(&m[2], 0), 0);
	assert_int_equal(since_of(&m[1], 1), 2000);
	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		model_done(&m[i]);
	health_registry_done(&registry);
}

TEST(slow_start_without_a_policy_has_records_of_its_own)
{
	static const char *const texts[] = { "a:1", "b:1" };
	struct health_registry registry;
	struct model with, without;

	health_registry_init(&registry);
	registry_model(&with, texts, 2, &watched);
	with.snapshot->backend_list[0].slow_start_ms = 10;
	assert_int_equal(health_registry_attach(&registry, with.snapshot, 1000), 0);
	atomic_store(&record_of(&with, 0)->out, HEALTH_OUT_EJECTED);
	registry_model(&without, texts, 2, NULL);
	without.snapshot->backend_list[0].slow_start_ms = 10;
	assert_int_equal(health_registry_attach(&registry, without.snapshot, 2000), 0);
	assert_non_null(record_of(&without, 0));
	assert_false(health_is_evicted(record_of(&without, 0), 2000)); /* nobody would check it */
	assert_int_equal(since_of(&without, 0), 0);
	model_done(&with);
	model_done(&without);
	health_registry_done(&registry);
}

/* One program's registry, and what it saves. */
struct program {
	struct health_registry registry;
	struct model model;
};

static void program_init(struct program *program, const char *const *texts, uint32_t count,
			 const struct health_policy *policy)
{
	health_registry_init(&program->registry);
	registry_model(&program->model, texts, count, policy);
	assert_int_equal(health_registry_attach(&program->registry, program->model.snapshot, 1000), 0);
}

static void program_done(struct program *program)
{
	model_done(&program->model);
	health_registry_done(&program->registry);
}

TEST(another_program_begins_with_the_verdicts_of_this_one)
{
	static const char *const texts[] = { "a:1", "b:1", "c:1", "d:1" }, *const others[] = { "c:1", "b:1" };
	static const struct health_policy active = { .has_active = true,
						     .active.type = HEALTH_CHECK_TCP,
						     .active.healthy_threshold = 3 };
	struct endpoint_health *health;
	struct program old, new;
	struct buf saved;

	buf_init(&saved);
	program_init(&old, texts, 4, &active);
	health = record_of(&old.model, 0);
	atomic_store(&health->out, HEALTH_OUT_CHECKS);
	health = record_of(&old.model, 1);
	atomic_store(&health->out, HEALTH_OUT_EJECTED | HEALTH_OUT_CHECKS | 64);
	atomic_store(&health->evicted_until_ms, 90000);
	atomic_store(&health->eviction_ms, 60000);
	atomic_store(&health->evictions, 2);
	atomic_store(&record_of(&old.model, 3)->back_ms, 7);
	assert_int_equal(health_registry_save(&old.registry, &saved), 0);
	program_init(&new, others, 2, &active);
	assert_int_equal(health_registry_restore(&new.registry, buf_span(&saved)), 1);
	assert_false(health_is_evicted(record_of(&new.model, 0), 2000));
	health = record_of(&new.model, 1);
	assert_int_equal(atomic_load(&health->out), HEALTH_OUT_EJECTED | HEALTH_OUT_CHECKS);
	assert_int_equal(atomic_load(&health->evicted_until_ms), 90000);
	/* The first check decides alone, and the ejection keeps its end. */
	assert_int_equal(health_check_record(health, &active.active, CHECK_PASSED, 89999),
			 CHECK_MAKES_HEALTHY);
	assert_true(health_is_evicted(health, 89999));
	assert_int_equal(health_check_record(health, &active.active, CHECK_PASSED, 90000),
			 CHECK_ENDS_EJECTION);
	assert_false(health_is_evicted(health, 90000));
	program_done(&new);
	program_done(&old);
	buf_done(&saved);
}

/* tests/lib/guard.h would show a byte behind the end; a record that is not there shows one of another. */
TEST(verdicts_of_another_version_of_other_checks_or_cut_are_ignored)
{
	static const char *const texts[] = { "a:1", "b:1" };
	static const struct health_policy tcp = { .has_active = true, .active.type = HEALTH_CHECK_TCP },
					  grpc = { .has_active = true, .active.type = HEALTH_CHECK_GRPC };
	uint32_t version = 2, longer = 56, shorter = 40;
	struct program old, new, other;
	struct buf saved;
	char bytes[128];
	size_t len;

	buf_init(&saved);
	program_init(&old, texts, 2, &tcp);
	program_init(&new, texts, 2, &tcp);
	program_init(&other, texts, 2, &grpc);
	atomic_store(&record_of(&old.model, 1)->out, HEALTH_OUT_CHECKS);
	assert_int_equal(health_registry_save(&old.registry, &saved), 0);
	len = buf_len(&saved);
	assert_int_equal(len, 8 + 48);
	memcpy(bytes, buf_span(&saved).data, len);
	assert_int_equal(health_registry_restore(&other.registry, span_of(bytes, len)), 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(health_registry_restore(&new.registry, span_of(bytes, i)), 0);
	memcpy(bytes + 4, &shorter, sizeof(shorter));
	assert_int_equal(health_registry_restore(&new.registry, span_of(bytes, len)), 0);
	memcpy(bytes + 4, &longer, sizeof(longer));
	assert_int_equal(health_registry_restore(&new.registry, span_of(bytes, 8 + longer)), 1);
	memcpy(bytes, &version, sizeof(version));
	assert_int_equal(health_registry_restore(&new.registry, span_of(bytes, 8 + longer)), 0);
	assert_true(health_is_evicted(record_of(&new.model, 1), 2000));
	program_done(&other);
	program_done(&new);
	program_done(&old);
	buf_done(&saved);
}

TEST(records_outlive_the_board_as_long_as_a_snapshot_does)
{
	static const char *const texts[] = { "a:1", "a:1" };
	struct health_registry registry;
	struct model m;

	health_registry_init(&registry);
	registry_model(&m, texts, 2, &watched);
	assert_int_equal(health_registry_attach(&registry, m.snapshot, 1000), 0);
	assert_ptr_equal(record_of(&m, 0), record_of(&m, 1)); /* one text, one record */
	health_registry_done(&registry);
	assert_int_equal(registry.count, 0);
	assert_text(record_of(&m, 0)->text, "a:1");
	model_done(&m);
}

TEST(endpoints_that_are_checked_in_another_way_have_another_record)
{
	static const char *const texts[] = { "a:1" };
	static const struct health_policy policies[] = {
		{ .has_eviction = true },
		{ .has_active = true, .active = { .type = HEALTH_CHECK_TCP } },
		{ .has_active = true, .active = { .type = HEALTH_CHECK_HTTP } },
		{ .has_active = true, .active = { .type = HEALTH_CHECK_HTTP, .http.path = SPAN("/a") } },
		{ .has_active = true, .active = { .type = HEALTH_CHECK_HTTP, .port = 81 } },
	};
	static const struct health_policy slower = {
		.has_active = true, .active = { .type = HEALTH_CHECK_TCP, .interval_ns = 1 }
	};
	struct health_registry registry;
	struct model m[ARRAY_LEN(policies)], same;

	health_registry_init(&registry);
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		registry_model(&m[i], texts, 1, &policies[i]);
		assert_int_equal(health_registry_attach(&registry, m[i].snapshot, 1000), 0);
		assert_int_equal(registry.count, i + 1);
	}
	registry_model(&same, texts, 1, &slower); /* how often it is checked makes no difference */
	assert_int_equal(health_registry_attach(&registry, same.snapshot, 1000), 0);
	assert_ptr_equal(record_of(&same, 0), record_of(&m[1], 0));
	assert_ptr_equal(same.snapshot->backend_list[0].health_group->ref->health, &slower);
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		model_done(&m[i]);
	model_done(&same);
	health_registry_done(&registry);
}

static int attach_once(void *context)
{
	static const char *const texts[] = { "a:1", "b:1", "c:1" };
	struct health_registry registry;
	struct model m;
	int result;

	(void)context;
	health_registry_init(&registry);
	registry_model(&m, texts, 3, &watched);
	result = m.failed ? -ENOMEM : health_registry_attach(&registry, m.snapshot, 1000);
	model_done(&m);
	health_registry_done(&registry);
	return result;
}

TEST(lack_of_memory_leaves_nothing_behind)
{
	assert_true(alloc_fail_each(attach_once, NULL) > 4);
}

TEST(many_endpoints_are_kept_apart)
{
	enum { MANY = 3000 };
	static char names[MANY][16];
	static const char *texts[MANY];
	struct health_registry registry;
	struct model m;

	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "h%u:1", i);
		texts[i] = names[i];
	}
	health_registry_init(&registry);
	registry_model(&m, texts, MANY, &watched);
	assert_int_equal(health_registry_attach(&registry, m.snapshot, 1000), 0);
	assert_int_equal(registry.count, MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_text(record_of(&m, i)->text, texts[i]);
	model_done(&m);
	health_registry_done(&registry);
}
