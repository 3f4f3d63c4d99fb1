/* SPDX-License-Identifier: Apache-2.0 */
#include "user/codec/websocket_key.h"

#include <string.h>

void websocket_key_make(uint64_t first, uint64_t second, char out[WEBSOCKET_KEY_BYTES])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char bytes[18] = { 0 }; /* two more than there are: a whole number of groups */

	memcpy(bytes, &first, sizeof(first));
	memcpy(bytes + sizeof(first), &second, sizeof(second));
	for (int group = 0; group < 6; group++) {
		const unsigned char *in = bytes + group * 3;
		uint32_t value = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		for (int i = 0; i < 4; i++)
			out[group * 4 + i] = digits[value >> (18 - 6 * i) & 63];
	}
	out[WEBSOCKET_KEY_BYTES - 2] = '=';
	out[WEBSOCKET_KEY_BYTES - 1] = '=';
}
