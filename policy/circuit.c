/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/circuit.h"

#include "user/base/limits.h"

bool circuit_admits(struct circuit *circuit, uint64_t now_ms, bool *ret_is_probe)
{
	*ret_is_probe = false;
	if (circuit->failures == 0)
		return true;
	if (now_ms < circuit->open_until_ms || circuit->is_probing)
		return false;
	circuit->is_probing = true;
	*ret_is_probe = true;
	return true;
}

void circuit_answered(struct circuit *circuit, uint64_t now_ms)
{
	*circuit = (struct circuit){ .answered_ms = now_ms };
}

static uint64_t pause_ms(uint32_t failures)
{
	uint64_t ms = LIMIT_CIRCUIT_LEAST_MS;

	for (uint32_t i = 0; i < failures && ms < LIMIT_CIRCUIT_MS; i++)
		ms *= 2;
	return ms < LIMIT_CIRCUIT_MS ? ms : LIMIT_CIRCUIT_MS;
}

void circuit_failed(struct circuit *circuit, uint64_t began_ms, bool is_probe, uint64_t now_ms)
{
	if (is_probe)
		circuit->is_probing = false;
	/* It answers others: this call alone failed. */
	if (circuit->failures == 0 && circuit->answered_ms > began_ms)
		return;
	if (circuit->failures && !is_probe)
		return;
	circuit->open_until_ms = now_ms + pause_ms(circuit->failures);
	if (circuit->failures < UINT32_MAX)
		circuit->failures++;
}

void circuit_cancelled(struct circuit *circuit, bool is_probe)
{
	if (is_probe)
		circuit->is_probing = false;
}
