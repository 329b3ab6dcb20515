"""From sentences to numbers: text encoders, and what may be typed as a caption.

An encoder is fitted on the captions of training images, goes into the run's folder, and encodes any
sentence from then on; it knows no data set and no method.
"""
