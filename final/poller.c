#include "poller.h"

#include <stdlib.h>
#include <unistd.h>

#if defined(__linux__) && !defined(USE_poll)

#include <sys/epoll.h>

/* The kernel keeps the descriptors, and says only which are ready. */
struct Poller {
    int epoll;
};

Poller *poller_new(void)
{
    Poller *poller = malloc(sizeof *poller);
    if (poller == NULL)
        return NULL;
    poller->epoll = epoll_create1(0);
    if (poller->epoll != -1)
        return poller;
    free(poller);
    return NULL;
}

/* epoll's names stand for the same numbers as those of poll. */
static bool control(Poller *poller, int operation, int descriptor, short events,
                    void *owner)
{
    struct epoll_event event = {.events = (uint32_t)events, .data.ptr = owner};
    return epoll_ctl(poller->epoll, operation, descriptor, &event) == 0;
}

bool poller_add(Poller *poller, int descriptor, short events, void *owner)
{
    return control(poller, EPOLL_CTL_ADD, descriptor, events, owner);
}

bool poller_change(Poller *poller, int descriptor, short events, void *owner)
{
    return control(poller, EPOLL_CTL_MOD, descriptor, events, owner);
}

void poller_forget(Poller *poller, int descriptor)
{
    (void)poller;
    (void)descriptor; /* the kernel forgets it when it is closed */
}

void poller_remove(Poller *poller, int descriptor)
{
    control(poller, EPOLL_CTL_DEL, descriptor, 0, NULL);
}

int poller_wait(Poller *poller, void *owners[], int most, int timeout)
{
    struct epoll_event events[most];
    int count = epoll_wait(poller->epoll, events, most, timeout);
    for (int i = 0; i < count; i++)
        owners[i] = events[i].data.ptr;
    return count > 0 ? count : 0;
}

void poller_destroy(Poller *poller)
{
    if (poller != NULL)
        close(poller->epoll);
    free(poller);
}

#else

/* Both arrays have an element for each descriptor from 0 on. Those that are not
 * watched are negative, and poll() passes over them. */
struct Poller {
    struct pollfd *polls;
    void **owners;
    int room;  /* elements of both */
    int count; /* those that were used: poll() takes no more than may be open */
    int next;  /* where poller_wait() goes on */
};

Poller *poller_new(void)
{
    return calloc(1, sizeof(Poller));
}

bool poller_add(Poller *poller, int descriptor, short events, void *owner)
{
    while (descriptor >= poller->room) {
        size_t room = (size_t)poller->room * 2 + 64;
        void *polls = realloc(poller->polls, room * sizeof *poller->polls);
        if (polls != NULL)
            poller->polls = polls;
        void *owners = realloc(poller->owners, room * sizeof *poller->owners);
        if (owners != NULL)
            poller->owners = owners;
        if (polls == NULL || owners == NULL)
            return false;
        while (poller->room < (int)room)
            poller->polls[poller->room++].fd = -1;
    }
    if (poller->count <= descriptor)
        poller->count = descriptor + 1;
    return poller_change(poller, descriptor, events, owner);
}

bool poller_change(Poller *poller, int descriptor, short events, void *owner)
{
    poller->polls[descriptor] = (struct pollfd){descriptor, events, 0};
    poller->owners[descriptor] = owner;
    return true;
}

void poller_forget(Poller *poller, int descriptor)
{
    poller->polls[descriptor].fd = -1;
}

void poller_remove(Poller *poller, int descriptor)
{
    poller_forget(poller, descriptor);
}

int poller_wait(Poller *poller, void *owners[], int most, int timeout)
{
    int count = 0;
    int ready = poll(poller->polls, (nfds_t)poller->count, timeout);
    if (ready <= 0)
        return 0;
    /* Each time from where the last one stopped, so that all have a turn. */
    for (int i = 0; i < poller->count && count < most; i++) {
        poller->next = (poller->next + 1) % poller->count;
        const struct pollfd *entry = &poller->polls[poller->next];
        if (entry->fd != -1 && entry->revents != 0)
            owners[count++] = poller->owners[poller->next];
    }
    return count;
}

void poller_destroy(Poller *poller)
{
    if (poller != NULL) {
        free(poller->polls);
        free(poller->owners);
    }
    free(poller);
}

#endif
