/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/expiry.h"

#include "policy/compile/certificate_list.h"
#include "user/base/clock.h"
#include "user/base/log.h"

enum { EXPIRY_DAY_MS = 24 * 3600 * 1000 };

static void say(void *context, const char *sentence)
{
	(void)context;
	log_warn("%s", sentence);
}

static void expiry_on_day(struct timer *timer, uint64_t now_ms)
{
	struct expiry *expiry = container_of(timer, struct expiry, timer);

	certificate_warn(*expiry->snapshot, (int64_t)(clock_wall_us() / US_PER_S), say, NULL);
	timer_arm(loop_timers(expiry->loop), timer, now_ms + EXPIRY_DAY_MS);
}

void expiry_start(struct expiry *expiry, struct loop *loop, struct snapshot *const *snapshot)
{
	*expiry = (struct expiry){ .loop = loop, .snapshot = snapshot };
	timer_init(&expiry->timer, expiry_on_day);
	timer_arm(loop_timers(loop), &expiry->timer, loop_now_ms(loop) + EXPIRY_DAY_MS);
}

void expiry_stop(struct expiry *expiry)
{
	if (expiry->loop)
		timer_cancel(loop_timers(expiry->loop), &expiry->timer);
}
