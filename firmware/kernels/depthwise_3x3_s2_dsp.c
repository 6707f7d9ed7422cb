#define KERNEL 3
#define STRIDE 2
#define FUNCTION qmcu_depthwise_3x3_s2_dsp
#include "depthwise_dsp_template.h"
