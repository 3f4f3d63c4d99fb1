/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/counter.h"
#include "tests/origin/pattern.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER_ROWS 4096u

struct counter {
	struct counter *next;
	uint64_t count;
	size_t size;
	char key[];
};

static struct counter *rows[COUNTER_ROWS];
static pthread_mutex_t rows_lock = PTHREAD_MUTEX_INITIALIZER;

static struct counter *counter_find(struct text key, bool make)
{
	struct counter **row = &rows[fnv_add(FNV_START, key.at, key.size) % COUNTER_ROWS];
	struct counter *counter;

	for (counter = *row; counter; counter = counter->next) {
		if (counter->size == key.size && memcmp(counter->key, key.at, key.size) == 0)
			return counter;
	}
	counter = make ? calloc(1, sizeof(*counter) + key.size) : NULL;
	if (counter) {
		counter->size = key.size;
		memcpy(counter->key, key.at, key.size);
		counter->next = *row;
		*row = counter;
	}
	return counter;
}

uint64_t counter_add(struct text key, uint64_t change)
{
	struct counter *counter;
	uint64_t count = 0;

	pthread_mutex_lock(&rows_lock);
	counter = counter_find(key, change > 0);
	if (counter) {
		counter->count += change;
		count = counter->count;
	}
	pthread_mutex_unlock(&rows_lock);
	return count;
}

void counter_reset(struct text key)
{
	struct counter *counter;

	pthread_mutex_lock(&rows_lock);
	counter = counter_find(key, false);
	if (counter)
		counter->count = 0;
	pthread_mutex_unlock(&rows_lock);
}

void counter_note(struct text query)
{
	struct text key;

	if (query_find(query, "count", &key))
		counter_add(key, 1);
}
