#define KERNEL 3
#define STRIDE 1
#define FUNCTION qmcu_depthwise_3x3_s1_dsp
#include "depthwise_dsp_template.h"
