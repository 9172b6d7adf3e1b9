"""What a template may declare that one machine does not need, and the names that stand in for it."""

from collections.abc import Mapping

from local import REGION
from local.template import ACCOUNT

NOT_HERE: Mapping[str, str] = {
    "AWS::ApiGatewayV2::Api": "served by local/gateway.py from the same template",
    "AWS::ApiGatewayV2::ApiMapping": "there is no domain",
    "AWS::ApiGatewayV2::DomainName": "there is no domain",
    "AWS::ApiGatewayV2::Stage": "throttling and access logs are API Gateway's",
    "AWS::CloudWatch::Alarm": "nobody collects metrics here; functions print them into their logs",
    "AWS::CloudWatch::CompositeAlarm": "nobody collects metrics here",
    "AWS::CloudWatch::Dashboard": "nobody collects metrics here",
    "AWS::IAM::Role": "nobody evaluates policies here; tests read them from the template",
    "AWS::Lambda::EventInvokeConfig": "an asynchronous event that fails is not tried again here",
    "AWS::Lambda::Function": "runs in local/runtime.py",
    "AWS::Lambda::LayerVersion": "its staged folder is on the functions' module path",
    "AWS::Lambda::Permission": "nobody evaluates policies here",
    "AWS::Logs::LogGroup": "functions log to files in the stack folder",
    "AWS::Logs::MetricFilter": "nobody collects metrics here",
    "AWS::S3::BucketPolicy": "nobody evaluates policies here",
    "AWS::SNS::Subscription": "alarms do not ring here",
    "AWS::SNS::Topic": "alarms do not ring here",
    "AWS::SNS::TopicPolicy": "nobody evaluates policies here",
    "AWS::SQS::QueuePolicy": "nobody evaluates policies here",
    "AWS::Scheduler::ScheduleGroup": "schedules need no group here",
}
"""Resource types that have no meaning on one machine, each with the reason."""

OWN_NAME: Mapping[str, str] = {
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
}
"""The property that names a resource of a type; others are known by their logical id."""


def stand_in(kind: str, ref: str) -> dict[str, str]:
    """Attributes of what is not created, so that references to it resolve; nobody here looks them up.

    Args:
        kind: resource type.
        ref: the resource's name.
    """
    arns = {
        "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{ref}",
        "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{ref}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{ref}:*",
    }
    return {"Arn": arns[kind]} if kind in arns else {}
