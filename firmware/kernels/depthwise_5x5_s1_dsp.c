#define KERNEL 5
#define STRIDE 1
#define FUNCTION qmcu_depthwise_5x5_s1_dsp
#include "depthwise_dsp_template.h"
