/* Old rows go: one fiber that deletes in bounded steps what its retention has passed. */
#pragma once
void upkeep_start(void); /* again: does nothing */
void upkeep_stop(void);  /* YIELDS */
