/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/test.h"
#include "user/base/list.h"

struct item {
	int number;
	struct list node;
};

static struct item items[10];
static struct list head;

static int fill(void **state)
{
	(void)state;
	list_init(&head);
	for (int i = 0; i < 10; i++) {
		items[i].number = i;
		list_init(&items[i].node);
	}
	return 0;
}

/* The numbers from front to back, and the same from back to front. */
static void assert_order(const struct list *l, const int *want, size_t count)
{
	const struct list *node = l->next;

	for (size_t i = 0; i < count; i++, node = node->next)
		assert_int_equal(container_of(node, struct item, node)->number, want[i]);
	assert_ptr_equal(node, l);
	node = l->prev;
	for (size_t i = count; i > 0; i--, node = node->prev)
		assert_int_equal(container_of(node, struct item, node)->number, want[i - 1]);
	assert_ptr_equal(node, l);
}

#define ASSERT_ORDER(l, ...)                                                                                 \
	assert_order(l, (int[]){ __VA_ARGS__ }, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

TEST_WITH(heads_and_tails_keep_their_order, fill, NULL)
{
	assert_true(list_is_empty(&head));
	assert_null(list_pop(&head));
	list_add_tail(&head, &items[1].node);
	list_add_tail(&head, &items[2].node);
	list_add_head(&head, &items[0].node);
	ASSERT_ORDER(&head, 0, 1, 2);
	assert_false(list_is_empty(&head));
	assert_ptr_equal(list_pop(&head), &items[0].node);
	assert_true(list_is_empty(&items[0].node));
	ASSERT_ORDER(&head, 1, 2);
}

TEST_WITH(removing_is_idempotent_and_leaves_the_rest, fill, NULL)
{
	for (int i = 0; i < 4; i++)
		list_add_tail(&head, &items[i].node);
	list_remove(&items[1].node);
	list_remove(&items[1].node);
	ASSERT_ORDER(&head, 0, 2, 3);
	list_remove(&items[0].node);
	list_remove(&items[3].node);
	ASSERT_ORDER(&head, 2);
	list_remove(&items[2].node);
	assert_true(list_is_empty(&head));
	list_remove(&items[9].node);
}

TEST_WITH(a_splice_moves_everything_to_the_end, fill, NULL)
{
	struct list other;

	list_init(&other);
	list_splice(&head, &other);
	assert_true(list_is_empty(&head));
	list_add_tail(&other, &items[2].node);
	list_add_tail(&other, &items[3].node);
	list_splice(&head, &other);
	assert_true(list_is_empty(&other));
	ASSERT_ORDER(&head, 2, 3);
	list_add_tail(&other, &items[4].node);
	list_splice(&head, &other);
	ASSERT_ORDER(&head, 2, 3, 4);
	list_splice(&head, &other);
	ASSERT_ORDER(&head, 2, 3, 4);
}

TEST_WITH(a_walk_may_remove_the_current_node, fill, NULL)
{
	int seen = 0;

	for (int i = 0; i < 10; i++)
		list_add_tail(&head, &items[i].node);
	list_each(node, next, &head) {
		struct item *item = list_entry(node, struct item, node);

		assert_int_equal(item->number, seen++);
		if (item->number % 2)
			list_remove(node);
	}
	assert_int_equal(seen, 10);
	ASSERT_ORDER(&head, 0, 2, 4, 6, 8);
	list_each(node, next, &head)
		list_remove(node);
	assert_true(list_is_empty(&head));
	list_each(node, next, &head)
		fail();
}
