/* A small program as it is: all of its main(). */
#include "explore.h"

int main_of_the_server(int argc, char *argv[]);

static void program(void)
{
    static char name[] = "program", *arguments[] = {name, NULL};
    main_of_the_server(1, arguments);
}

const Scenario scenarios[] = {
    {"program", "all threads of the program", program, NULL, false},
};
const int scenario_count = 1;
