/* One lookup by the C library: lookup FAMILY NAME; exit code 0 if it has an address. */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **words)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;

	if (count != 3)
		return 2;
	if (strcmp(words[1], "AF_INET") == 0)
		hints.ai_family = AF_INET;
	if (strcmp(words[1], "AF_INET6") == 0)
		hints.ai_family = AF_INET6;
	return getaddrinfo(words[2], 0, &hints, &found) != 0;
}
