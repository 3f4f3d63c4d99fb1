/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/clock.h"

#include <time.h>

#include "user/base/units.h"

uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

void clock_rfc3339(uint64_t wall_us, char out[CLOCK_RFC3339_BYTES])
{
	time_t seconds = (time_t)(wall_us / US_PER_S);
	unsigned int micros = (unsigned int)(wall_us % US_PER_S);
	struct tm parts;
	size_t len;

	gmtime_r(&seconds, &parts);
	len = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S.", &parts);
	for (size_t digit = 6; digit > 0; digit--) {
		out[len + digit - 1] = (char)('0' + micros % 10);
		micros /= 10;
	}
	out[len + 6] = 'Z';
	out[len + 7] = '\0';
}
